"""Rotations between the atoms of Wyckoff positions, and origins that a group does not tell apart."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.crystallography.wyckoff import DENOMINATOR, group_operations, wyckoff_table

# origins that groups do not tell apart lie at quarters, along with thirds of the base in trigonal and hexagonal axes
_QUARTERS = tuple(product((0, 3, 6, 9), repeat=3))
_THIRDS = tuple((x, y, z) for x, y in ((4, 8), (8, 4)) for z in (0, 3, 6, 9))
_TWELFTHS = 12


@cache
def orbit_rotations() -> NDArray[np.int8]:
    """For each operation of each position, a rotation of the group that takes the position's first atom to this one.

    Returns:
        (14433, 3, 3), in the order of :func:`~gflownet_crystal.crystallography.wyckoff.wyckoff_table`; columns of
        fractional coordinates turn as W @ column. Where the site has symmetry of its own, several rotations do; they
        differ by operations that leave the first atom in place.
    """
    table = wyckoff_table()
    ends = np.cumsum(table.multiplicity, dtype=np.int64)
    result = np.zeros((len(table.operations), 3, 3), dtype=np.int8)
    operations = table.operations.astype(np.int64)
    general = operations[:0]
    for row, (start, end) in enumerate(zip(ends - table.multiplicity, ends, strict=True)):
        if row == 0 or table.group[row] != table.group[row - 1]:
            general = operations[start:end]
        result[start:end] = _rotations(operations[start:end], general)
    return result


def _rotations(own: NDArray[np.int64], general: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rotation of the general operation, of (g, 3, 4), that makes each of (m, 3, 4) from the first, (m, 3, 3)."""
    turn = general[:, :, :3] // DENOMINATOR
    made = turn @ own[0]
    made[:, :, 3] += general[:, :, 3]
    difference = made[None] - own[:, None]
    difference[..., 3] %= DENOMINATOR
    return np.asarray(turn[(difference == 0).all((2, 3)).argmax(1)])


@cache
def origin_shifts(group: int) -> NDArray[np.float64]:
    """Shifts of the origin that leave a group as it is, none of them a lattice translation or along a polar axis.

    They are the translations of the group's Euclidean normaliser (International Tables A, chapter 3.5) modulo those of
    the group, but for the continuous ones of polar groups, whose directions are left out.

    Args:
        group: ITA number, 1 to 230.

    Returns:
        (m, 3) fractional coordinates of the conventional cell, the zero shift first.
    """
    operations = group_operations(group)
    turns = np.rint(operations[:, :, :3]).astype(np.int64)
    pure = (turns == np.eye(3, dtype=np.int64)).all((1, 2))
    lattice = np.rint(_TWELFTHS * operations[pure, :, 3]).astype(np.int64) % _TWELFTHS
    shifts = np.array(_QUARTERS + _THIRDS, dtype=np.int64)
    keys = _keys(lattice)
    # commutes with every operation up to a lattice translation
    kept = np.isin(_keys((shifts @ turns.mT - shifts).swapaxes(0, 1)), keys).all(1)
    shifts = shifts[kept & ~(shifts @ turns.sum(0).T).any(1)]
    smallest = _keys(shifts[:, None] + lattice).min(1)
    first = np.unique(smallest, return_index=True)[1]
    return shifts[np.sort(first)] / _TWELFTHS


def _keys(shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray((shifts % _TWELFTHS) @ np.array([_TWELFTHS**2, _TWELFTHS, 1]))
