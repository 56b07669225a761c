"""The same crystal from every format through every reading function, and what is no crystal named."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
import spglib
import torch
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Poscar

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.evaluation.structure_sets import read_set
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.data.crystals import QUARTZ, table


def left_handed(structure: Structure) -> Structure:
    """The same atoms in a cell of which two vectors are exchanged."""
    return Structure(
        structure.lattice.matrix[[1, 0, 2]], structure.species, structure.frac_coords[:, [1, 0, 2]]
    )


def group_of(structure: Structure) -> int:
    """By spglib, independently of how the package finds groups."""
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=0.01)
    assert dataset is not None
    return int(dataset.number)


def write_tensors(path: Path, structure: Structure) -> None:
    content = {
        "frac_coords": structure.frac_coords,
        "atom_types": structure.atomic_numbers,
        "lengths": [structure.lattice.abc],
        "angles": [structure.lattice.angles],
        "num_atoms": [len(structure)],
    }
    torch.save({name: torch.tensor(np.asarray(values)) for name, values in content.items()}, path)


def nested(structure: Structure) -> pd.DataFrame:
    frame = table(structure, vectors=True)
    frame["lattice"] = [structure.lattice.matrix.tolist()]
    frame["frac_coords"] = [structure.frac_coords.tolist()]
    return frame


def zipped(path: Path, structure: Structure) -> None:
    path.write_bytes(gzip.compress(json.dumps([structure.as_dict()]).encode()))


def matbench(structure: Structure) -> str:
    data = [[structure.as_dict(), -3.0]]
    return json.dumps({"index": [7], "columns": ["structure", "e_form"], "data": data})


WRITERS: dict[str, Callable[[Path, Structure], object]] = {
    "one.cif": lambda path, s: path.write_text(s.to(fmt="cif")),
    "TWO.CIF": lambda path, s: path.write_text(
        structures_to_cif(conventional_structures(from_pymatgen([s])))[0]
    ),
    "POSCAR": lambda path, s: ase.io.write(path, s.to_ase_atoms(), format="vasp", direct=True),
    "CONTCAR_relaxed": lambda path, s: path.write_text(Poscar(s).get_str(direct=False)),
    "one.vasp": lambda path, s: ase.io.write(path, s.to_ase_atoms(), format="vasp"),
    "one.json": lambda path, s: path.write_text(json.dumps(s.as_dict())),
    "entries.json": lambda path, s: path.write_text(json.dumps([{"structure": s.as_dict(), "energy": -1.0}])),
    "named.json": lambda path, s: path.write_text(json.dumps({"mine": s.as_dict(verbosity=0)})),
    "matbench.json": lambda path, s: path.write_text(matbench(s)),
    "list.json.gz": zipped,
    "parameters.parquet": lambda path, s: table(s, False).to_parquet(path),
    "vectors.parquet": lambda path, s: table(s, True).to_parquet(path),
    "nested.parquet": lambda path, s: nested(s).to_parquet(path),
    "parameters.csv": lambda path, s: table(s, False).to_csv(path, index=False),
    "vectors.csv": lambda path, s: table(s, True).to_csv(path, index=False),
    "cifs.csv": lambda path, s: pd.DataFrame({"cif": [s.to(fmt="cif")]}).to_csv(path, index=False),
    "one.extxyz": lambda path, s: ase.io.write(path, s.to_ase_atoms(), format="extxyz"),
    "one.pt": write_tensors,
}


def from_prepared(path: Path) -> tuple[int, str]:
    prepared = load_prepared([path])
    return int(prepared["space_group"].iloc[0]), str(prepared["formula"].iloc[0])


def in_setting(structures: StructureBatch) -> tuple[int, str]:
    found = conventional_structures(structures)
    return int(found.space_group[0]), found.specs().formulas()[0]


def from_item(path: Path) -> tuple[int, str]:
    (item,) = read_items(path)
    assert item.structure is not None
    return in_setting(item.structure)


READERS: dict[str, Callable[[Path], tuple[int, str]]] = {
    "prepare_data, generate, report": from_prepared,
    "relax": from_item,
    "evaluate": lambda path: in_setting(read_set(path).structures),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("hand", ["right", "left"])
def test_every_format_gives_every_verb_the_same_crystal(name: str, hand: str, tmp_path: Path) -> None:
    # formats of parameters cannot hold a left-handed cell: what they are given is the right-handed crystal
    parameters_only = name.startswith("parameters") or name == "one.pt" or name.endswith(".CIF")
    structure = QUARTZ if hand == "right" or parameters_only else left_handed(QUARTZ)
    if hand == "left" and name in ("one.cif", "cifs.csv"):
        pytest.skip("pymatgen writes parameters into CIFs, and so another hand")
    assert group_of(structure) == 152
    WRITERS[name](tmp_path / name, structure)
    for verb, read in READERS.items():
        assert read(tmp_path / name) == (152, "Si3 O6"), verb


def test_positions_stay_as_they_are_in_vectors_of_either_hand(tmp_path: Path) -> None:
    turned = left_handed(QUARTZ)
    for structure in (QUARTZ, turned):
        (tmp_path / "one.json").write_text(json.dumps(structure.as_dict()))
        (item,) = read_items(tmp_path / "one.json")
        assert item.structure is not None and float(item.structure.cell.det()) > 0.0
        positions = (item.structure.fractional @ item.structure.cell[0]).numpy()
        np.testing.assert_allclose(positions, structure.cart_coords, atol=1e-12)


def test_a_mixed_folder_is_read_whole_and_equal_stems_are_told_apart(tmp_path: Path) -> None:
    for name in ("a/POSCAR", "b/POSCAR", "a/x.cif", "a/x.vasp", "y.CIF", "c/d/z.json", "t.parquet"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {
            "POSCAR": "POSCAR",
            ".cif": "one.cif",
            ".CIF": "TWO.CIF",
            ".vasp": "one.vasp",
            ".json": "one.json",
        }
        WRITERS[kind.get(path.suffix or path.name, "parameters.parquet")](path, QUARTZ)
    (tmp_path / ".hidden.cif").write_text("not looked at")
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a 3\n")
    names = ["a/POSCAR", "a/x.cif", "a/x.vasp", "b/POSCAR", "z", "one", "y"]
    left_out = LeftOut()
    prepared = load_prepared([tmp_path], left_out=left_out)
    assert prepared["material_id"].tolist() == names and set(prepared["space_group"]) == {152}
    assert left_out.names() == {"broken"}
    items = read_items(tmp_path)
    assert [item.name for item in items if item.structure is None] == ["broken"]
    assert sorted(read_set(tmp_path).names) == sorted([*names, "broken"])


def test_of_a_folder_that_generate_made_its_table_is_read(tmp_path: Path) -> None:
    made = tmp_path / "run" / "made"
    (made / "cif").mkdir(parents=True)
    table(QUARTZ).to_parquet(made / "structures.parquet")
    (made / "settings.json").write_text("{}")
    WRITERS["one.cif"](made / "cif" / "one.cif", QUARTZ)
    for source in (made, tmp_path):
        assert len(read_source(source)) == 1
    (made / "settings.json").unlink()
    assert len(read_source(made)) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("POSCAR", "x\n1.0\n", "ends too early"),
        ("a.json", '{"lattice": 1}', "no structures"),
        ("a.json", "[" * 100_000, "JSON"),
        ("a.json.gz", "not gzip", "JSON"),
        ("a.xyz", "2\nLattice\nNa 0 0 0\n", "ends within a frame"),
        ("a.xyz", "hello\n", "number of atoms"),
        ("a.csv", "x,y\n1,2\n", "lacks the columns"),
        ("a.pt", "no tensors", "torch.save"),
    ],
)
def test_a_file_alone_that_cannot_be_read_is_one_line(
    name: str, content: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    for read in (read_items, read_set, read_source, lambda path: load_prepared([path], left_out=LeftOut())):
        with pytest.raises(DataError, match=said) as caught:
            read(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_pymatgen_sites_that_are_no_atoms_are_refused_by_name(tmp_path: Path) -> None:
    mixed = Structure(Lattice.cubic(4.0), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    part = Structure(Lattice.cubic(4.0), [{"Na": 0.5}], [[0, 0, 0]])
    dummy = Structure(Lattice.cubic(4.0), ["X0+"], [[0, 0, 0]])
    heavy = Structure(Lattice.cubic(4.0), ["D"], [[0, 0, 0]])
    charged = Structure(Lattice.cubic(4.0), ["Na+"], [[0, 0, 0]])
    content = [structure.as_dict() for structure in (mixed, part, dummy, heavy, charged)]
    (tmp_path / "five.json").write_text(json.dumps(content))
    items = read_items(tmp_path / "five.json")
    assert ["shared" in items[0].reason, "partly" in items[1].reason, "no element" in items[2].reason] == [
        True
    ] * 3
    assert [to_pymatgen(item.structure)[0].formula for item in items[3:] if item.structure] == ["H1", "Na1"]


def test_no_class_that_a_json_names_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('built')\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = QUARTZ.as_dict()
    content["sites"][0]["properties"] = {"tag": {"@module": "evil", "@class": "Evil", "x": 1}}
    content["properties"] = {"tag": {"@module": "evil", "@class": "Evil", "x": 1}}
    (tmp_path / "one.json").write_text(json.dumps(content))
    assert len(read_source(tmp_path / "one.json")) == 1


def test_one_frame_of_extended_xyz_disturbs_no_other(tmp_path: Path) -> None:
    frame = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\nCl 2 2 2\n'
    frames = [
        frame,
        frame.replace("Cl", "Xx"),
        frame.replace("Na", "CO"),
        frame.replace("2 2 2", "2 a 2"),
        frame,
    ]
    (tmp_path / "five.xyz").write_text("".join(frames))
    items = read_items(tmp_path / "five.xyz")
    assert [item.structure is not None for item in items] == [True, False, False, False, True]
    assert "'CO' is no element" in items[2].reason


@pytest.mark.parametrize("column", [[], ["e_form"], {}, None, 3])
def test_a_matbench_file_whose_columns_have_no_names_is_refused(column: object, tmp_path: Path) -> None:
    stored = json.loads(matbench(QUARTZ)) | {"columns": ["structure", column]}
    (tmp_path / "matbench.json").write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"matbench\.json holds no structures"):
        load_prepared([tmp_path / "matbench.json"])
