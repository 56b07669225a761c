"""The same crystals from every kind of file, and what cannot be read counted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from ase.io import write

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.evaluation.structure_sets import StructureSet, read_set
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import to_ase, to_pymatgen
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.evaluation.crystals import some_crystals


@pytest.fixture(scope="module")
def crystals() -> StructureBatch:
    return conventional_structures(some_crystals()[:4])


def tensors(crystals: StructureBatch) -> dict[str, torch.Tensor]:
    """As the code of CDVAE writes one try of each crystal."""
    lengths, angles = matrix_to_parameters(crystals.cell)
    parts = {
        "frac_coords": crystals.fractional,
        "atom_types": crystals.atomic_numbers,
        "lengths": lengths,
        "angles": angles,
        "num_atoms": crystals.n_atoms,
    }
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor.clone())[None]
        for name, tensor in parts.items()
    }


def write_as(kind: str, crystals: StructureBatch, folder: Path) -> Path:
    path = folder / f"set.{kind}"
    if kind == "parquet":
        structures_to_frame(crystals, material_id=list("abcd")).to_parquet(path)
    elif kind == "cif":
        for number, text in enumerate(structures_to_cif(crystals)):
            write_text(folder / "cifs" / f"{number}.cif", text)
        path = folder / "cifs"
    elif kind == "csv":
        texts = [structure.to(fmt="cif") for structure in to_pymatgen(crystals)]
        pd.DataFrame({"material_id": list("abcd"), "cif": texts}).to_csv(path)
    elif kind == "extxyz":
        write(path, to_ase(crystals))
    else:
        torch.save(tensors(crystals), path)
    return path


@pytest.mark.parametrize("kind", ["parquet", "cif", "csv", "extxyz", "pt"])
def test_every_kind_of_file_gives_the_same_crystals(kind: str, crystals: StructureBatch, tmp_path: Path):
    found = read_set(write_as(kind, crystals, tmp_path))
    assert len(found) == 4 and not found.reasons
    assert torch.equal(found.structures.composition, crystals.composition)
    for mine, true in zip(to_pymatgen(found.structures), to_pymatgen(crystals), strict=True):
        assert mine.lattice.parameters == pytest.approx(true.lattice.parameters, rel=1e-4)
        # the same distances between atoms, whatever their order
        assert sorted(mine.distance_matrix.ravel()) == pytest.approx(
            sorted(true.distance_matrix.ravel()), abs=1e-3
        )
    claims = crystals.space_group if kind in ("parquet", "cif") else 0 * crystals.space_group
    assert torch.equal(found.claimed, claims)


def test_what_cannot_be_read_is_counted(crystals: StructureBatch, tmp_path: Path):
    folder = write_as("cif", crystals, tmp_path)
    write_text(folder / "1.cif", "nothing of the kind")
    found = read_set(folder)
    assert len(found) == 4 and list(found.reasons) == [1] and found.rows.tolist() == [0, 2, 3]
    assert torch.equal(found.claimed, crystals.space_group[found.rows])

    frame = pd.read_parquet(write_as("parquet", crystals, tmp_path)).assign(row=[5, 6, 7, 8])
    frame.at[2, "frac_coords"] = frame.at[2, "frac_coords"][:4]
    frame.to_parquet(tmp_path / "bad.parquet")
    found = read_set(tmp_path / "bad.parquet")
    assert list(found.reasons) == [2] and found.names == tuple("abcd")
    assert found.target is not None and found.target.tolist() == [5, 6, 8]

    table = pd.read_csv(write_as("csv", crystals, tmp_path))
    table.loc[0, "cif"] = float("nan")
    table.to_csv(tmp_path / "bad.csv")
    assert list(read_set(tmp_path / "bad.csv").reasons) == [0]

    odd = tensors(crystals)
    odd["lengths"][0, 3, 1] = torch.nan
    odd["atom_types"][0, 0] = 200
    torch.save(odd, tmp_path / "bad.pt")
    assert list(read_set(tmp_path / "bad.pt").reasons) == [0, 3]


def test_several_tries_name_their_targets(crystals: StructureBatch, tmp_path: Path):
    once = tensors(crystals)
    torch.save({name: torch.cat([x, x]) for name, x in once.items()}, tmp_path / "two.pt")
    found = read_set(tmp_path / "two.pt")
    assert len(found) == 8 and found.target is not None
    assert found.target.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert read_set(write_as("pt", crystals, tmp_path)).target is None


def test_the_head_and_the_digest_of_a_set(crystals: StructureBatch, tmp_path: Path):
    found = read_set(write_as("parquet", crystals, tmp_path))
    few = found.head(2)
    assert len(few) == 2 and len(few.structures) == 2 and few.names == ("a", "b")
    assert found.digest() == read_set(tmp_path / "set.parquet").digest() != few.digest()
    assert isinstance(few, StructureSet)


def test_files_of_something_else_are_refused_in_one_line(tmp_path: Path):
    torch.save({"lengths": tmp_path}, tmp_path / "code.pt")
    torch.save({"lengths": torch.zeros(1, 3)}, tmp_path / "few.pt")
    pd.DataFrame({"formula": ["NaCl"]}).to_csv(tmp_path / "formulas.csv")
    write_text(tmp_path / "all" / "broken.cif", "nothing")
    for name, said in (
        ("code.pt", "unpickled"),
        ("few.pt", "frac_coords"),
        ("formulas.csv", "cif"),
        ("all", "none of 1 structures"),
        ("nowhere", "no structures at"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            read_set(tmp_path / name)
        assert "\n" not in str(caught.value)
