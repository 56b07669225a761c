"""Databases of ASE: crystals, names and labels of rows, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.db import connect

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.ase_database import rows_of_database


def test_rows_are_what_ase_wrote(tmp_path: Path) -> None:
    salt, copper = bulk("NaCl", "rocksalt", 5.64), bulk("Cu", "fcc", 3.6)
    with connect(tmp_path / "a.db") as database:
        database.write(salt, name="salt", formation_energy_per_atom=-2.0, stable=True)
        database.write(copper, data={"material_id": "007", "e_above_hull": 0.1})
        database.write(Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.1]]))
    first, second, third = rows_of_database(tmp_path / "a.db", "file")
    assert (first.name, second.name, third.name) == ("salt", "007", "file-2")
    assert dict(first.columns) == {"formation_energy_per_atom": -2.0}
    assert dict(second.columns) == {"e_above_hull": 0.1}
    np.testing.assert_allclose(first.lattice, salt.cell.array)
    np.testing.assert_allclose(first.points, salt.get_scaled_positions(wrap=False))
    assert first.numbers.tolist() == [11, 17] and "no cell" in third.reason


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_other_files_are_refused_in_a_line_and_left_as_they_are(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*a\.db as a database of ASE"):
        rows_of_database(tmp_path / "a.db", "file")
    assert (tmp_path / "a.db").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_a_cut_database_is_an_error_or_reasons(tmp_path: Path) -> None:
    with connect(tmp_path / "a.db") as database:
        for _ in range(50):
            database.write(bulk("Cu", "fcc", 3.6, cubic=True))
    whole = (tmp_path / "a.db").read_bytes()
    for part in (0.3, 0.6, 0.9):
        (tmp_path / "a.db").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(DataError, match="cannot read"):
            rows_of_database(tmp_path / "a.db", "file")


def test_an_empty_database_is_named(tmp_path: Path) -> None:
    with connect(tmp_path / "a.db") as database:
        database.delete([database.write(bulk("Cu"))])
    with pytest.raises(DataError, match="has no rows"):
        rows_of_database(tmp_path / "a.db", "file")
