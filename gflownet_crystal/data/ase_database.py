"""Databases of ASE: SQLite files with numbers, positions and values, in which nothing is pickled."""

from __future__ import annotations

import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.own_values import named_apart, own_labels, own_name
from gflownet_crystal.data.rows import Row


def rows_of_database(path: Path, name: str) -> list[Row]:
    """All rows of a database, in their order.

    Args:
        path: SQLite file, as ``ase.db`` writes it.
        name: the beginning of the names of crystals that have none of their own.

    Raises:
        DataError: it is something else, or holds no rows.
    """
    from ase.db import connect

    try:
        _check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = list(connect(path, type="db", use_lock_file=False).select())
    except Exception as error:  # ASE raises all kinds of errors where a file is damaged
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"cannot read {path} as a database of ASE: {reason}") from error
    if not stored:
        raise DataError(f"{path} has no rows; give a database with some")
    return named_apart([_row(row) for row in stored], name)


def _check(path: Path) -> None:
    """See that a file is a database of ASE, without changing it: ASE makes one of an empty file."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name='systems'").fetchone()
    finally:
        connection.close()
    if not found[0]:
        raise ValueError("it has no table of systems")


def _row(stored: Any) -> Row:
    try:
        data = stored.data
        values = {**(data if isinstance(data, dict) else {}), **stored.key_value_pairs}
        name, cell = own_name(values), np.asarray(stored.cell, dtype=np.float64).reshape(3, 3)
        with np.errstate(all="ignore"):
            volume = abs(np.linalg.det(cell))
        if not volume > 0.0 or not np.isfinite(volume):
            return Row(name, reason="no cell with a volume; only periodic crystals can be used")
        points = np.linalg.solve(cell.T, np.asarray(stored.positions, dtype=np.float64).T).T
        return Row(name, cell, stored.numbers, points, columns=own_labels(values))
    except Exception as error:  # data that ASE unpacks only here may be damaged
        return Row("", reason=f"a damaged row ({type(error).__name__}: {error})")
