"""Files of structures in each format: what other programs and the package's own readers make of them."""

from __future__ import annotations

import json
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pandas as pd
import pytest
from monty.json import MontyDecoder
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.vasp import Poscar

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.structures.convert import from_ase, from_pymatgen, iterate_arrays
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.writing import (
    FORMATS,
    check_formats,
    file_names,
    format_of,
    write_structures,
)
from tests.structures.random_crystals import random_crystal

GROUPS = (227, 2, 166, 194, 14, 1)
TOGETHER = ("json", "extxyz", "db")


@pytest.fixture(scope="module")
def batch() -> StructureBatch:
    return StructureBatch.cat([random_crystal(group) for group in GROUPS])


@pytest.fixture(scope="module")
def values() -> pd.DataFrame:
    """Names that look like numbers, and values of all kinds, some of them empty."""
    return pd.DataFrame(
        {
            "material_id": ["007", "1e5", "True", "mp-1/b", "plain", 'a "b" c=1'],
            "formation_energy_per_atom": [-1.234567891234, np.nan, 0.0, 0.5, -2.0, 1e-7],
            "energy_source": ["alignn", None, "alignn", "alignn", "alignn", "alignn"],
            "rank": pd.array([1, 2, None, 4, 5, 6], dtype="Int64"),
            "exact": [True, False, True, True, False, True],
            "frac_coords": [np.zeros(3)] * 6,
        }
    )


def check_same(batch: StructureBatch, read: StructureBatch, grouped: bool = False) -> None:
    """The same cells and atoms in the same order; if ``grouped``, the order of the elements' first atoms."""
    assert len(batch) == len(read)
    for one, other in zip(iterate_arrays(batch), iterate_arrays(read), strict=True):
        numbers, points = one[1], one[2]
        if grouped:
            order = by_element(numbers)
            numbers, points = numbers[order], points[order]
        np.testing.assert_allclose(one[0] @ one[0].T, other[0] @ other[0].T, rtol=0, atol=1e-6)
        assert numbers.tolist() == other[1].tolist()
        difference = points - other[2]
        assert np.linalg.norm((difference - difference.round()) @ one[0], axis=1).max() < 1e-7


def by_element(numbers: NDArray[np.int64]) -> list[int]:
    first = list(dict.fromkeys(numbers.tolist()))
    return sorted(range(len(numbers)), key=lambda atom: first.index(numbers[atom]))


@pytest.fixture(scope="module")
def folder(batch: StructureBatch, values: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made")
    write_structures(made, batch, values, FORMATS)
    return made


def test_a_folder_has_a_file_of_each_format(folder: Path) -> None:
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = ["007", "1e5", "True", "a_b_c=1", "mp-1_b", "plain"]
    each = [
        f"{place}/{name}{suffix}"
        for place, suffix in (("cif", ".cif"), ("poscar", ".vasp"))
        for name in names
    ]
    assert found == [*each, "structures.db", "structures.extxyz", "structures.json"]


def test_pymatgen_reads_its_json(folder: Path, batch: StructureBatch, values: pd.DataFrame) -> None:
    rows = json.loads((folder / "structures.json").read_text(), cls=MontyDecoder)
    assert [row["material_id"] for row in rows] == values["material_id"].tolist()
    check_same(batch, from_pymatgen([row["structure"] for row in rows]))
    assert rows[0]["formation_energy_per_atom"] == -1.2345679 and "rank" not in rows[2]
    assert "formation_energy_per_atom" not in rows[1] and rows[1]["exact"] is False


def test_pymatgen_reads_poscars_of_vasp_5(folder: Path, batch: StructureBatch) -> None:
    for row, name in enumerate(("007", "1e5", "True", "mp-1_b")):
        path = folder / "poscar" / f"{name}.vasp"
        check_same(batch[row : row + 1], from_pymatgen([Poscar.from_file(path).structure]), grouped=True)
        symbols, counts = path.read_text().splitlines()[5:7]
        assert len(set(symbols.split())) == len(symbols.split()) == len(counts.split())
        assert ase.io.read(path, format="vasp").get_chemical_formula(mode="hill")


def test_ase_reads_extended_xyz(folder: Path, batch: StructureBatch, values: pd.DataFrame) -> None:
    frames = ase.io.read(folder / "structures.extxyz", index=":")
    check_same(batch, from_ase(frames))
    assert [atoms.info["name"] for atoms in frames] == values["material_id"].tolist()
    assert [atoms.info.get("rank") for atoms in frames] == [1, 2, None, 4, 5, 6]
    assert [atoms.info["exact"] for atoms in frames] == values["exact"].tolist()


def test_ase_reads_and_searches_its_database(
    folder: Path, batch: StructureBatch, values: pd.DataFrame
) -> None:
    database = ase.db.connect(folder / "structures.db")
    rows = list(database.select())
    check_same(batch, from_ase([row.toatoms() for row in rows]))
    assert [row.data["name"] for row in rows] == values["material_id"].tolist()
    assert [row.id for row in database.select("formation_energy_per_atom<-1")] == [1, 5]
    assert {row.user for row in rows} == {""}


@pytest.mark.parametrize("chosen", TOGETHER)
def test_own_readers_find_crystals_names_and_labels(
    folder: Path, batch: StructureBatch, values: pd.DataFrame, chosen: str
) -> None:
    frame = read_source(folder / f"structures.{chosen}")
    check_same(batch, frame_to_structures(frame))
    assert frame["material_id"].tolist() == values["material_id"].tolist()
    labels = values["formation_energy_per_atom"].to_numpy()
    np.testing.assert_allclose(frame["formation_energy_per_atom"], labels, rtol=1e-7)
    assert frame["energy_source"].tolist()[2:] == values["energy_source"].tolist()[2:]


@pytest.mark.parametrize("place", ["cif", "poscar"])
def test_own_readers_find_files_of_one_crystal(folder: Path, batch: StructureBatch, place: str) -> None:
    frame = read_source(folder / place).set_index("material_id")
    assert len(frame) == len(batch)
    for row, name in enumerate(("007", "1e5", "True", "mp-1_b", "plain", "a_b_c=1")):
        one, other = batch[row : row + 1], frame_to_structures(frame.loc[[name]])
        assert one.specs().formulas() == other.specs().formulas()
        if place == "poscar":
            check_same(one, other, grouped=True)


@pytest.mark.parametrize("name", ["a.json", "a.extxyz", "a.XYZ", "a.db"])
def test_the_end_of_a_name_is_the_format(tmp_path: Path, batch: StructureBatch, name: str) -> None:
    write_structures(tmp_path / name, batch)
    frame = read_source(tmp_path / name)
    check_same(batch, frame_to_structures(frame))
    assert frame["material_id"].iloc[0].startswith("001_")


@pytest.mark.parametrize("name", ["a.cif", "a.vasp"])
def test_a_file_of_one_structure_takes_no_more(tmp_path: Path, batch: StructureBatch, name: str) -> None:
    write_structures(tmp_path / name, batch[1:2])
    assert (
        frame_to_structures(read_source(tmp_path / name)).specs().formulas() == batch[1:2].specs().formulas()
    )
    with pytest.raises(
        DataError, match="would hold one structure, and there are 6; give a folder with format="
    ):
        write_structures(tmp_path / name, batch)


def test_the_same_content_is_not_written_again(
    tmp_path: Path, batch: StructureBatch, values: pd.DataFrame
) -> None:
    write_structures(tmp_path, batch, values, FORMATS)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
    write_structures(tmp_path, batch, values, FORMATS)
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
    write_structures(tmp_path, batch, values.assign(exact=True), ["db", "json"])
    changed = {path.name for path in files if path.stat().st_ino != before[path][1]}
    assert changed == {"structures.db", "structures.json"}
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_equal_crystals_are_all_kept(tmp_path: Path) -> None:
    twice = StructureBatch.cat([random_crystal(2)] * 2)
    write_structures(tmp_path, twice, pd.DataFrame({"material_id": ["same", "same"]}), FORMATS)
    for name in ("structures.json", "structures.extxyz", "structures.db", "cif", "poscar"):
        assert len(read_source(tmp_path / name)) == 2


def test_left_handed_cells_keep_their_atoms(tmp_path: Path) -> None:
    quartz = random_crystal(152)
    turned = StructureBatch(
        -quartz.cell, quartz.atomic_numbers, -quartz.fractional, quartz.structure_index, quartz.space_group
    )
    write_structures(tmp_path, turned, formats=FORMATS)
    check_same(
        quartz, from_pymatgen([Poscar.from_file(next(tmp_path.glob("poscar/*"))).structure]), grouped=True
    )
    check_same(quartz, from_ase([ase.io.read(tmp_path / "structures.extxyz")]))
    (row,) = json.loads((tmp_path / "structures.json").read_text())
    check_same(quartz, from_pymatgen([Structure.from_dict(row["structure"])]))


def test_what_cannot_be_written_is_said_in_a_line(tmp_path: Path, batch: StructureBatch) -> None:
    with pytest.raises(ConfigError, match="no known format of structures; let the name end in"):
        write_structures(tmp_path / "a.txt", batch)
    with pytest.raises(ConfigError, match="unknown format 'xsf' of structures; choose among cif, poscar"):
        write_structures(tmp_path, batch, formats=["cif", "xsf"])
    with pytest.raises(DataError, match="rename the column"):
        write_structures(tmp_path / "a.db", batch, pd.DataFrame({"energy": [1.0] * len(batch)}))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_structures(tmp_path / "file" / "a.db", batch)


def test_formats_have_one_order() -> None:
    assert check_formats(["db", "cif", "db"]) == ("cif", "db")
    assert format_of(Path("x/A.ExtXYZ")) == "extxyz" and format_of(Path("x.parquet")) is None


def test_names_of_files_are_safe_and_apart() -> None:
    assert file_names(["a/b", "a b", "A_B", "..", "x", "x", "x-2"]) == [
        "a_b", "a_b-2", "A_B-3", "_", "x", "x-3", "x-2",
    ]  # fmt: skip
