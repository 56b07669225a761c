"""Crystals as readers find them, checked and brought to the rows of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import REASON as REASON
from gflownet_crystal.crystallography.lattice import matrix_to_parameters, parameters_to_matrix
from gflownet_crystal.structures.checks import check_parameters, check_structures
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch

CELL, CLAIMED = "_cell", "_claimed"
"""Columns beside those of the schema: why a row is no crystal (empty if it is one), the lattice vectors where the
source has them (9 numbers, Å), and the space group that a CIF names (0 for none)."""

_NO_STRUCTURE = "a composition without a structure"
_ARRAYS = ("lattice", "atomic_numbers", "frac_coords")


@dataclass(frozen=True)
class Row:
    """One crystal of a source, or why it is none.

    Attributes:
        name: unique in its source.
        lattice: a b c (Å) alpha beta gamma (degrees), or lattice vectors as the rows of a 3 x 3 matrix or as 9 numbers.
        numbers: atomic numbers.
        points: three fractional coordinates an atom, flat or nested.
        reason: why it could not be read; the arrays count for nothing then.
        columns: labels and other values.
    """

    name: str
    lattice: Any = None
    numbers: Any = None
    points: Any = None
    reason: str = ""
    columns: Mapping[str, object] = field(default_factory=dict)


def rows_to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Check rows and bring them to one form.

    Returns:
        Columns material_id, lattice (6), atomic_numbers, frac_coords (flat), reason, _cell and the rows' own; those
        that are no crystals have None in the first arrays. Left-handed lattice vectors and the coordinates in them
        change their signs: every position stays as it is, and so does the hand of the crystal.
    """
    parsed = [_parse(row) for row in rows]
    reasons = [row.reason or fault for row, (fault, *_) in zip(rows, parsed, strict=True)]
    good = [place for place, reason in enumerate(reasons) if not reason]
    cells = [parsed[place][1] for place in good]
    lattices, matrices = _lattices(cells)
    for place, reason in zip(good, check_parameters(torch.from_numpy(lattices)), strict=True):
        reasons[place] = reason
    kept = np.array([not reasons[place] for place in good], dtype=bool)
    good = [place for place in good if not reasons[place]]
    lattices, matrices = lattices[kept], matrices[kept]
    points = [parsed[place][3] for place in good]
    if good:
        with np.errstate(all="ignore"):
            # a volume too large for a number keeps its sign
            hand = np.sign(np.linalg.det(matrices))
        hand[hand == 0] = 1.0
        matrices = matrices * hand[:, None, None]
        points = [values if sign > 0 else -values for values, sign in zip(points, hand, strict=True)]
        numbers = [parsed[place][2] for place in good]
        structures = from_arrays(matrices, numbers, [values.reshape(-1, 3) for values in points])
        for place, reason in zip(good, check_structures(structures), strict=True):
            reasons[place] = reason
    return _frame(
        rows, reasons, parsed, dict(zip(good, zip(lattices, matrices, points, strict=True), strict=True))
    )


def table_to_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Check a table in the package's schema; columns other than the structure stay as they are.

    Returns:
        The table, rows in order, with ``reason`` and ``_cell`` as :func:`rows_to_frame` gives them.
    """
    if REASON in frame.columns and CELL in frame.columns:
        return frame
    arrays = zip(frame["material_id"].astype(str), *(frame[name] for name in _ARRAYS), strict=True)
    checked = rows_to_frame([Row(*values) for values in arrays]).set_index(frame.index)
    return frame.assign(**{name: checked[name] for name in (*_ARRAYS, REASON, CELL)})


def structure_reasons(frame: pd.DataFrame) -> list[str]:
    """Why checked rows are no structures, n texts; empty for those that are."""
    if "lattice" not in frame.columns:
        return [reason or _NO_STRUCTURE for reason in frame[REASON]]
    given = [isinstance(lattice, np.ndarray) for lattice in frame["lattice"]]
    return [
        reason or ("" if has else _NO_STRUCTURE) for reason, has in zip(frame[REASON], given, strict=True)
    ]


def frame_to_oriented(frame: pd.DataFrame) -> StructureBatch:
    """Structures of checked rows that are crystals, with the lattice vectors of the source where it has them.

    Args:
        frame: n rows of :func:`rows_to_frame`, at least one, all without a reason.
    """
    lattice = torch.from_numpy(np.stack(list(frame["lattice"])))
    matrices = parameters_to_matrix(lattice[:, :3], lattice[:, 3:]).numpy()
    for place, cell in enumerate(frame[CELL]):
        if isinstance(cell, np.ndarray):
            matrices[place] = cell.reshape(3, 3)
    points = [values.reshape(-1, 3) for values in frame["frac_coords"]]
    return from_arrays(matrices, list(frame["atomic_numbers"]), points)


def parse_lattices(values: Sequence[Any] | pd.Series) -> tuple[NDArray[np.float64], list[str]]:
    """Lattice parameters of cells given as parameters or vectors, see :class:`Row`.

    Returns:
        (n, 6) Å and degrees, and n reasons, empty for those that close a cell.
    """
    cells, reasons = [], []
    for value in values:
        fault, cell, _, _ = _parse(Row("", value, [], []))
        cells.append(np.full(6, np.nan) if fault else cell)
        reasons.append(fault)
    lattices, _ = _lattices(cells)
    faults = check_parameters(torch.from_numpy(lattices))
    return lattices, [reason or fault for reason, fault in zip(reasons, faults, strict=True)]


def _parse(row: Row) -> tuple[str, Any, Any, Any]:
    """The fault of a row's arrays, or "", and lattice (6,) or (3, 3), numbers (n,) int64 and points (3n,)."""
    if row.reason:
        return row.reason, None, None, None
    try:
        lattice, numbers, points = (_flat(x) for x in (row.lattice, row.numbers, row.points))
    except (TypeError, ValueError, OverflowError):
        return "a lattice, atomic numbers or coordinates that are missing or no numbers", None, None, None
    if lattice.size not in (6, 9):
        return (
            f"a lattice of {lattice.size} numbers; 6 parameters or 9 of three vectors are needed",
            None,
            None,
            None,
        )
    if points.size != 3 * numbers.size:
        return f"{points.size} coordinates of {numbers.size} atoms; an atom has 3", None, None, None
    if not np.isfinite(numbers).all() or (numbers % 1.0 != 0.0).any() or (np.abs(numbers) > 1e6).any():
        return "atomic numbers that are not whole", None, None, None
    cell = lattice.reshape(3, 3) if lattice.size == 9 else lattice
    return "", cell, numbers.astype(np.int64), points


def _flat(values: Any) -> NDArray[np.float64]:
    """Numbers of a list, nested or not, or of its text."""
    if isinstance(values, str):
        values = [float(number) for number in _numbers_of_text(values)]
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = np.concatenate([np.atleast_1d(np.asarray(inner)) for inner in values]) if len(values) else []
    array = np.asarray(values)
    if array.ndim == 0 or array.dtype.kind not in "iuf":
        if array.ndim == 1 and array.size == 0:
            return np.empty(0)
        raise TypeError("no list of numbers")
    return array.astype(np.float64).ravel()


def _numbers_of_text(text: str) -> list[str]:
    """The numbers in a list as Python, JSON or NumPy print it."""
    inner = text.strip()
    if not inner.startswith(("[", "(")) or not inner.endswith(("]", ")")):
        raise ValueError("no list")
    return inner.translate(str.maketrans("[](),", "     ")).split()


def _lattices(cells: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters (n, 6) and vectors (n, 3, 3) of each, given as either; not finite where they close no cell."""
    lattices, matrices = np.full((len(cells), 6), np.nan), np.full((len(cells), 3, 3), np.nan)
    given = np.array([cell.ndim == 2 for cell in cells], dtype=bool)
    if given.any():
        matrices[given] = np.stack([cell for cell in cells if cell.ndim == 2])
        lattices[given] = torch.cat(matrix_to_parameters(torch.from_numpy(matrices[given])), dim=1).numpy()
    if not given.all():
        lattices[~given] = np.stack([cell for cell in cells if cell.ndim == 1])
        six = torch.from_numpy(lattices[~given])
        matrices[~given] = parameters_to_matrix(six[:, :3], six[:, 3:]).numpy()
    return lattices, matrices


def _frame(
    rows: Sequence[Row],
    reasons: Sequence[str],
    parsed: Sequence[tuple[str, Any, Any, Any]],
    arrays: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]],
) -> pd.DataFrame:
    values: dict[str, list[Any]] = {name: [None] * len(rows) for name in (*_ARRAYS, CELL)}
    for place, (lattice, matrix, points) in arrays.items():
        if not reasons[place]:
            values["lattice"][place] = lattice
            values["atomic_numbers"][place] = parsed[place][2]
            values["frac_coords"][place] = points
            values[CELL][place] = matrix.ravel() if parsed[place][1].ndim == 2 else None
    columns = {name: pd.Series(column, dtype=object) for name, column in values.items()}
    own = dict.fromkeys(name for row in rows for name in row.columns)
    frame = pd.DataFrame({"material_id": [row.name for row in rows], REASON: list(reasons), **columns})
    return frame.assign(**{name: [row.columns.get(name) for row in rows] for name in own})
