"""Wyckoff positions of the 230 space groups: multiplicities, site symmetries and affine maps of the free parameters.

Settings: ITA standard setting, origin choice 2, hexagonal axes for rhombohedral groups, unique axis b. The table is
a small file made from pyxtal by :mod:`gflownet_crystal.crystallography.build_wyckoff`; pyxtal is not needed to read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.crystallography.space_groups import check_space_group

TABLE_NAME = "wyckoff.npz"
DENOMINATOR = 24
"""Every entry of every operation is a multiple of 1 / DENOMINATOR."""


@dataclass(frozen=True)
class WyckoffTable:
    """All positions of all groups in ITA order (general position first), one row a position.

    Attributes:
        group: (1731,) int16, ITA number.
        letter: (1731,) one-character strings.
        multiplicity: (1731,) int16, atoms of one orbit in the conventional cell.
        degrees_of_freedom: (1731,) int8, number of free coordinates, 0..3.
        site_symmetry: (1731,) oriented site-symmetry symbols, as ``4m.m``.
        operations: (14433, 3, 4) int8 in 24ths, the orbits of all positions one after the other.
    """

    group: NDArray[np.int16]
    letter: NDArray[np.str_]
    multiplicity: NDArray[np.int16]
    degrees_of_freedom: NDArray[np.int8]
    site_symmetry: NDArray[np.str_]
    operations: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """One position of a group.

    Attributes:
        letter: Wyckoff letter (``A`` follows ``z`` in group 47).
        multiplicity: atoms m of one orbit in the conventional cell.
        degrees_of_freedom: number of free coordinates; 0 means that the position holds at most one orbit.
        site_symmetry: oriented site-symmetry symbol.
        operations: (m, 3, 4) float64, [rotation | translation]: fractional coordinates of the orbit's atoms are
            ``operations[:, :, :3] @ (x, y, z) + operations[:, :, 3]`` modulo 1, centring included.
    """

    letter: str
    multiplicity: int
    degrees_of_freedom: int
    site_symmetry: str
    operations: NDArray[np.float64]

    def orbit(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fractional coordinates in [0, 1) of the orbit, (..., m, 3), for parameters (x, y, z), (..., 3)."""
        rotated = np.einsum("mij,...j->...mi", self.operations[:, :, :3], parameters)
        wrapped = np.mod(rotated + self.operations[:, :, 3], 1.0)
        # np.mod of a tiny negative number rounds to 1.0
        return np.where(wrapped >= 1.0, 0.0, wrapped)


@cache
def wyckoff_table() -> WyckoffTable:
    """The packaged table, read once."""
    with as_file(files(__package__).joinpath(TABLE_NAME)) as path:
        return read_table(path)


def read_table(path: Path) -> WyckoffTable:
    """Read a table file."""
    with np.load(path, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    for name in ("letter", "site_symmetry"):
        columns[name] = columns[name].astype(str)
    return WyckoffTable(**columns)


@cache
def wyckoff_positions(group: int) -> tuple[WyckoffPosition, ...]:
    """Positions of a space group, general position first, then in ITA order down to letter ``a``.

    Args:
        group: ITA number, 1..230.

    Raises:
        ConfigError: the group does not exist.
    """
    table = wyckoff_table()
    rows = np.flatnonzero(table.group == check_space_group(group))
    ends = np.cumsum(table.multiplicity, dtype=np.int64)
    return tuple(
        WyckoffPosition(
            letter=str(table.letter[row]),
            multiplicity=int(table.multiplicity[row]),
            degrees_of_freedom=int(table.degrees_of_freedom[row]),
            site_symmetry=str(table.site_symmetry[row]),
            operations=table.operations[ends[row] - table.multiplicity[row] : ends[row]] / DENOMINATOR,
        )
        for row in rows
    )


def group_operations(group: int) -> NDArray[np.float64]:
    """Operations [rotation | translation] of a group modulo lattice translations, centring included, (order, 3, 4).

    Raises:
        ConfigError: the group does not exist.
    """
    return wyckoff_positions(group)[0].operations
