"""Structures to relax from all kinds of files, good ones and bad ones."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.relaxation.inputs import fingerprint, read_items
from gflownet_crystal.structures.convert import to_pymatgen
from tests.data.crystals import stored_frame


def test_a_folder_of_candidates_with_a_bad_file(tmp_path: Path) -> None:
    salt = Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    rutile = Structure.from_spacegroup(
        136, Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    )
    crystals = [salt, rutile, rutile]
    for number, crystal in enumerate(crystals):
        crystal.to(filename=str(tmp_path / f"{number:03d}.cif"))
    write_text(tmp_path / "001.cif", "data_broken\n_cell_length_a what\n")
    write_text(tmp_path / "candidates.csv", "rank,cif\n1,000.cif\n")
    items = read_items(tmp_path)
    assert [item.name for item in items] == ["000", "001", "002"]
    assert items[1].structure is None and "no crystal" in items[1].reason
    for row in (0, 2):
        assert items[row].structure is not None
        read = to_pymatgen(items[row].structure)[0]
        assert read.matches(crystals[row]) and len(read) == len(crystals[row])


def test_tables_keep_every_row_and_say_what_is_wrong_with_it(tmp_path: Path) -> None:
    frame = stored_frame()
    frame.at[1, "frac_coords"] = np.array([0.0, 0.0, 0.0, 0.5])
    frame.at[2, "lattice"] = np.array([4.0, 4.0, 4.0])
    frame.at[3, "atomic_numbers"] = np.full(len(frame.at[3, "atomic_numbers"]), 200)
    frame.to_parquet(tmp_path / "crystals.parquet")
    items = read_items(tmp_path / "crystals.parquet")
    assert [item.name for item in items] == frame["material_id"].tolist()
    assert [item.structure is None for item in items[:4]] == [False, True, True, True]
    assert all(item.reason for item in items[1:4])


def test_extended_xyz(tmp_path: Path) -> None:
    copper, gold = bulk("Cu", "fcc", 3.6), bulk("Au", "fcc", 4.1)
    lone = gold.copy()
    lone.cell, lone.pbc = None, False
    ase.io.write(tmp_path / "three.xyz", [copper, lone, gold], format="extxyz")
    items = read_items(tmp_path / "three.xyz")
    assert [item.name for item in items] == ["three-0", "three-1", "three-2"]
    assert items[1].structure is None and "cell" in items[1].reason
    assert items[2].structure is not None
    np.testing.assert_allclose(items[2].structure.cell[0].numpy(), gold.cell.array)


def test_nothing_readable_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_text(tmp_path / "broken.xyz", "3\nno atoms\n")
    for name in ("nowhere", "empty", "broken.xyz"):
        with pytest.raises(DataError, match=name) as raised:
            read_items(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_the_fingerprint_sees_every_change(tmp_path: Path) -> None:
    frame = stored_frame()
    frame.to_parquet(tmp_path / "one.parquet")
    moved, renamed = frame.copy(), frame.copy()
    moved.at[2, "frac_coords"] = np.asarray(frame.at[2, "frac_coords"]) + 1e-9
    renamed.at[2, "material_id"] = "other"
    prints = []
    for name, table in (("one", frame), ("same", frame), ("moved", moved), ("renamed", renamed)):
        table.to_parquet(tmp_path / f"{name}.parquet")
        prints.append(fingerprint(read_items(tmp_path / f"{name}.parquet")))
    assert prints[0] == prints[1] and len(set(prints)) == 3
