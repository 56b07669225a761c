"""Bulk conversion of stored cells to conventional ones: symmetrised lattice, counts and space group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.symmetry import SYMPREC, find_dataset, quiet_moyo

N_ELEMENTS = 119


@dataclass(frozen=True)
class StandardCells:
    """Conventional cells of n stored ones, in the ITA standard setting (unique axis b, hexagonal axes).

    Attributes:
        space_group: (n,) int64; 0 where no symmetry was found.
        counts: (n, 119) int16, atoms in the conventional cell by atomic number.
        parameters: (n, 6) float64, a b c in Å and alpha beta gamma in degrees, symmetrised.
        linear: (n, 3, 3) float64; conventional rows = rotation of ``linear.T @ stored rows``.
    """

    space_group: NDArray[np.int64]
    counts: NDArray[np.int16]
    parameters: NDArray[np.float64]
    linear: NDArray[np.float64]


def standard_cells(
    lattices: NDArray[np.float64],
    atomic_numbers: Sequence[NDArray[np.integer]],
    fractional: Sequence[NDArray[np.floating]],
    symprec: float = SYMPREC,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> StandardCells:
    """Find the conventional cell of each stored one with moyo, about 0.5 ms each.

    Args:
        lattices: (n, 6) stored cells, Å and degrees.
        atomic_numbers: n arrays of atomic numbers.
        fractional: n arrays of fractional coordinates, flat or (atoms, 3).
        symprec: distance tolerance, Å.
        progress: wraps the row counter, for a progress bar.

    Raises:
        DataError: a row's arrays do not fit together.
    """
    n = len(lattices)
    result = StandardCells(
        np.zeros(n, dtype=np.int64),
        np.zeros((n, N_ELEMENTS), dtype=np.int16),
        np.full((n, 6), np.nan),
        np.tile(np.eye(3), (n, 1, 1)),
    )
    bases = parameters_to_rows(lattices)
    with quiet_moyo():
        for row in progress(range(n)):
            _standardize_row(result, row, bases[row], atomic_numbers[row], fractional[row], symprec)
    found = result.space_group > 0
    result.parameters[found] = symmetrise_parameters(result.parameters[found], result.space_group[found])
    return result


def _standardize_row(
    result: StandardCells,
    row: int,
    basis: NDArray[np.float64],
    numbers: NDArray[np.integer],
    positions: NDArray[np.floating],
    symprec: float,
) -> None:
    points = np.asarray(positions, dtype=np.float64)
    if points.size != 3 * len(numbers) or len(numbers) == 0:
        raise DataError(
            f"row {row}: {len(numbers)} atoms but {points.size} coordinates; each atom needs three"
        )
    if not np.isfinite(basis).all() or abs(np.linalg.det(basis)) < 1e-6:
        raise DataError(
            f"row {row}: the lattice parameters close no cell; give lengths in A and angles in degrees"
        )
    dataset = find_dataset(basis, numbers, points.reshape(-1, 3), symprec)
    if dataset is None:
        return  # no symmetry at this tolerance: the row keeps group 0 and is left out by the caller
    result.space_group[row] = dataset.number
    result.counts[row] = np.bincount(dataset.std_cell.numbers, minlength=N_ELEMENTS)
    result.parameters[row] = rows_to_parameters(np.asarray(dataset.std_cell.basis)[None])[0]
    result.linear[row] = np.asarray(dataset.std_linear)


def parameters_to_rows(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lattice vectors as rows, (n, 3, 3), of (n, 6) lengths (Å) and angles (degrees); a along x, b in the xy plane."""
    a, b, c = parameters[:, :3].T
    cosines = np.cos(np.radians(parameters[:, 3:]))
    sine_gamma = np.sin(np.radians(parameters[:, 5]))
    rows = np.zeros((len(parameters), 3, 3))
    rows[:, 0, 0] = a
    rows[:, 1, 0], rows[:, 1, 1] = b * cosines[:, 2], b * sine_gamma
    rows[:, 2, 0] = c * cosines[:, 1]
    rows[:, 2, 1] = c * (cosines[:, 0] - cosines[:, 1] * cosines[:, 2]) / sine_gamma
    with np.errstate(invalid="ignore"):
        rows[:, 2, 2] = np.sqrt(c**2 - rows[:, 2, 0] ** 2 - rows[:, 2, 1] ** 2)
    return rows


def rows_to_parameters(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of :func:`parameters_to_rows`: (n, 6) lengths and angles of (n, 3, 3) lattice vectors."""
    metric = rows @ rows.transpose(0, 2, 1)
    lengths = np.sqrt(np.diagonal(metric, axis1=1, axis2=2))
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = np.stack([metric[:, i, j] / (lengths[:, i] * lengths[:, j]) for i, j in pairs], axis=1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))], axis=1)


def symmetrise_parameters(
    parameters: NDArray[np.float64], space_group: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The nearest parameters that the lattice system of each group allows; volume-preserving in the lengths.

    Args:
        parameters: (n, 6) conventional cells, Å and degrees.
        space_group: (n,) group numbers, 1 to 230.
    """
    out = parameters.copy()
    monoclinic = (space_group >= 3) & (space_group <= 15)
    above = space_group >= 16
    out[np.ix_(monoclinic, np.array([3, 5]))] = 90.0
    out[np.ix_(above, np.array([3, 4, 5]))] = 90.0
    out[(space_group >= 143) & (space_group <= 194), 5] = 120.0
    uniaxial = (space_group >= 75) & (space_group <= 194)
    out[np.ix_(uniaxial, np.array([0, 1]))] = np.sqrt(out[uniaxial, 0] * out[uniaxial, 1])[:, None]
    cubic = space_group >= 195
    out[np.ix_(cubic, np.array([0, 1, 2]))] = np.cbrt(out[cubic, :3].prod(axis=1))[:, None]
    return out


def strained_parameters(
    lattices: NDArray[np.float64], linear: NDArray[np.float64], space_group: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Conventional parameters of strained stored cells, by the reference cell's own change of basis.

    Args:
        lattices: (n, 6) strained stored cells, Å and degrees.
        linear: (n, 3, 3) the reference cells' ``StandardCells.linear``.
        space_group: (n,) groups, which the strain keeps.
    """
    rows = linear.transpose(0, 2, 1) @ parameters_to_rows(lattices)
    return symmetrise_parameters(rows_to_parameters(rows), space_group)
