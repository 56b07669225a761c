"""The same crystals from every kind of file, and what cannot be read counted."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from ase.io import write

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.evaluation.structure_sets import StructureSet, read_set
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import to_ase, to_pymatgen
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.evaluation.crystals import some_crystals, tensors


@pytest.fixture(scope="module")
def crystals() -> StructureBatch:
    return conventional_structures(some_crystals()[:4])


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


def test_rows_with_parts_missing_or_impossible_are_counted(crystals: StructureBatch, tmp_path: Path):
    whole = pd.read_parquet(write_as("parquet", crystals, tmp_path)).drop(columns="space_group")
    frame = pd.concat([whole] * 2, ignore_index=True)
    for row, column in enumerate(("lattice", "atomic_numbers", "frac_coords")):
        frame.at[row, column] = None
    for row, (place, value) in {3: (0, -4.0), 4: (1, 0.0), 5: (4, -90.0), 6: (5, 180.0)}.items():
        lattice = frame.at[row, "lattice"].copy()
        lattice[place] = value
        frame.at[row, "lattice"] = lattice
    frame.to_parquet(tmp_path / "holes.parquet")
    found = read_set(tmp_path / "holes.parquet")
    assert found.rows.tolist() == [7] and all(found.reasons[row] for row in range(7))
    frame[3:].to_parquet(tmp_path / "signs.parquet")
    found = read_set(tmp_path / "signs.parquet")
    assert found.rows.tolist() == [4] and all("above 0" in reason for reason in found.reasons.values())
    whole["atomic_numbers"] = [
        numbers + 0.5 * (row == 1) for row, numbers in enumerate(whole["atomic_numbers"])
    ]
    whole.to_parquet(tmp_path / "halves.parquet")
    assert list(read_set(tmp_path / "halves.parquet").reasons) == [1]


def test_groups_that_are_none_are_no_claims(crystals: StructureBatch, tmp_path: Path):
    frame = pd.read_parquet(write_as("parquet", crystals, tmp_path))
    for groups, claimed in (
        (["Fm-3m", "225", None, "x"], [0, 225, 0, 0]),
        ([999.0, -4.0, 2.0, 0.0], [0, 0, 2, 0]),
    ):
        frame.assign(space_group=groups).to_parquet(tmp_path / "groups.parquet")
        assert read_set(tmp_path / "groups.parquet").claimed.tolist() == claimed


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_column_names_the_targets(kind: str, crystals: StructureBatch, tmp_path: Path):
    path = write_as(kind, crystals, tmp_path)
    read = pd.read_parquet if kind == "parquet" else pd.read_csv

    def write_rows(rows: list[object]) -> Path:
        frame = read(path).assign(row=rows)
        (frame.to_parquet if kind == "parquet" else frame.to_csv)(tmp_path / f"rows.{kind}")
        return tmp_path / f"rows.{kind}"

    found = read_set(write_rows([3, 2, 1, 0]))
    assert found.target is not None and found.target.tolist() == [3, 2, 1, 0]
    for wrong in (["a", "b", "c", "d"], [0.0, 1.0, float("nan"), 2.0], [0.5, 1.0, 2.0, 3.0]):
        with pytest.raises(DataError, match="column row"):
            read_set(write_rows(list(wrong)))


def test_groups_of_cifs_in_a_table_are_claims(crystals: StructureBatch, tmp_path: Path):
    pd.DataFrame({"cif": structures_to_cif(crystals)}).to_csv(tmp_path / "groups.csv")
    assert torch.equal(read_set(tmp_path / "groups.csv").claimed, crystals.space_group)


def test_cifs_of_any_folder_are_counted(crystals: StructureBatch, tmp_path: Path):
    folder = write_as("cif", crystals, tmp_path)
    (folder / "1.cif").rename(folder / "1.CIF")
    both = (folder / "0.cif").read_text() + (folder / "2.cif").read_text()
    write_text(folder / "2.cif", both)
    negative = re.sub(r"(_cell_length_a +)", r"\1-", (folder / "3.cif").read_text())
    write_text(folder / "3.cif", negative)
    # a loop without a header
    write_text(folder / "4.cif", (folder / "0.cif").read_text().split("loop_")[0] + "loop_\n 1 2 3\n")
    for source in (folder, folder.parent):
        found = read_set(source)
        assert found.names == ("0", "1", "2", "3", "4") and found.rows.tolist() == [0, 1]
        assert "2 crystals" in found.reasons[2] and "below 0" in found.reasons[3] and found.reasons[4]
        assert torch.equal(found.claimed, crystals.space_group[:2])


def test_flat_cells_and_numbers_that_are_none_in_extended_xyz(tmp_path: Path):
    one = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\nCl 2 2 2\n'
    texts = [
        one,
        one.replace("0 4 0 0", "4 0 0 0"),
        one.replace("2 2 2", "nan 2 2"),
        one.replace('0 4"', '0 nan"'),
    ]
    write_text(tmp_path / "four.extxyz", "".join(texts))
    found = read_set(tmp_path / "four.extxyz")
    assert found.rows.tolist() == [0] and "cell" in found.reasons[1] and "finite" in found.reasons[2]


def test_the_head_and_the_digest_of_a_set(crystals: StructureBatch, tmp_path: Path):
    found = read_set(write_as("parquet", crystals, tmp_path))
    few = found.head(2)
    assert len(few) == 2 and len(few.structures) == 2 and few.names == ("a", "b")
    assert found.digest() == read_set(tmp_path / "set.parquet").digest() != few.digest()
    assert isinstance(few, StructureSet)


def test_files_of_something_else_are_refused_in_one_line(tmp_path: Path):
    pd.DataFrame({"formula": ["NaCl"]}).to_csv(tmp_path / "formulas.csv")
    write_text(tmp_path / "all" / "broken.cif", "nothing")
    for name, said in (
        ("formulas.csv", "cif"),
        ("all", "none of 1 structures"),
        ("nowhere", "no structures at"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            read_set(tmp_path / name)
        assert "\n" not in str(caught.value)
