"""Choice between readings of a CIF that names its space group but not the origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_expansion import covers, expand
from gflownet_crystal.structures.cif_formula import CifFormula
from gflownet_crystal.structures.cif_operations import SymmetryGroup
from gflownet_crystal.structures.cif_sites import CifSites
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.distances import shortest_distance_ratio

# shortest distance of a crystal in sums of covalent radii, and how much wider than another it must be to be chosen
_PLAUSIBLE, _WIDER = 0.8, 1.2
_SAME = 0.01


@dataclass(frozen=True, eq=False)
class Reading:
    """Atoms of the cell under one group.

    Attributes:
        group: operations that were used.
        owner: (N,) int64, the listed site of each atom.
        numbers: (N,) int64, atomic numbers.
        points: (N, 3) float64, fractional coordinates.
        fault: difference to the file's formula; empty if there is none.
    """

    group: SymmetryGroup
    owner: NDArray[np.int64]
    numbers: NDArray[np.int64]
    points: NDArray[np.float64]
    fault: str

    @classmethod
    def of(
        cls,
        group: SymmetryGroup,
        sites: CifSites,
        cell: NDArray[np.float64],
        formula: CifFormula,
        closest: float,
    ) -> Reading:
        """Expand sites under a group.

        Raises:
            DataError: atoms are too near to each other.
        """
        owner, points = expand(sites, group, cell, closest)
        numbers = sites.atomic_numbers[owner]
        return cls(group, owner, numbers, points, formula.fault(numbers))


def choose_reading(
    groups: tuple[SymmetryGroup, ...],
    sites: CifSites,
    cell: NDArray[np.float64],
    formula: CifFormula,
    closest: float,
) -> Reading:
    """The one reading that the file's formula, multiplicities and distances leave.

    Args:
        groups: one, or those of several origins.
        sites: listed sites.
        cell: (3, 3) rows, Å.
        formula: formula of the file.
        closest: least distance of two atoms, Å.

    Raises:
        DataError: no reading has its atoms apart, or several are left.
    """
    readings, reasons = [], []
    for group in groups:
        try:
            readings.append(Reading.of(group, sites, cell, formula, closest))
        except DataError as error:
            reasons.append(str(error) if len(groups) == 1 else f"{group.name}: {error}")
    if not readings:
        raise DataError("; ".join(reasons))
    tests: tuple[Callable[[Reading], bool], ...] = (
        lambda reading: not reading.fault,
        lambda reading: _has_multiplicities(reading, sites),
    )
    for test in tests:
        readings = [reading for reading in readings if test(reading)] or readings
    if len(readings) > 1:
        readings = _not_squeezed(readings, cell)
    if any(not _is_same(readings[0], other, cell) for other in readings[1:]):
        names = " or ".join(reading.group.name for reading in readings)
        raise DataError(f"its space group may be {names}, which are different crystals; name the origin")
    return readings[-1]


def _has_multiplicities(reading: Reading, sites: CifSites) -> bool:
    given = sites.multiplicities
    read = np.bincount(reading.owner, minlength=len(given))
    return bool((read[given > 0] == given[given > 0]).all())


def _not_squeezed(readings: list[Reading], cell: NDArray[np.float64]) -> list[Reading]:
    """The readings without those whose shortest distance is far below that of another reading."""
    batch = from_arrays(
        [cell] * len(readings),
        [reading.numbers for reading in readings],
        [reading.points for reading in readings],
    )
    ratios = shortest_distance_ratio(batch).tolist()
    widest = max(ratios)
    if widest < _PLAUSIBLE:
        return readings
    return [reading for reading, ratio in zip(readings, ratios, strict=True) if ratio * _WIDER > widest]


def _is_same(one: Reading, other: Reading, cell: NDArray[np.float64]) -> bool:
    """Whether two readings are one crystal but for a shift."""
    counts = np.bincount(one.numbers), np.bincount(other.numbers)
    if len(counts[0]) != len(counts[1]) or (counts[0] != counts[1]).any():
        return False
    rarest = int(np.where(counts[0] > 0, counts[0], len(one.numbers) + 1).argmin())
    start = one.points[one.numbers == rarest][0]
    shifts = other.points[other.numbers == rarest] - start
    return any(
        covers(one.numbers, one.points + shift, other.numbers, other.points, cell, _SAME) for shift in shifts
    )
