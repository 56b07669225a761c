"""Sites of an asymmetric unit to all atoms of the cell, with special positions made exact and clashes refused."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.cif_operations import SymmetryGroup
from gflownet_crystal.structures.cif_sites import MOST_ATOMS, CifSites
from gflownet_crystal.structures.cif_text import quoted

ONE_ATOM = 0.05
"""Images of a site nearer than this, Å, are one atom on a special position that the digits of the file miss."""

_LISTED_TWICE = 1e-4
_EXACT = 1e-6
_MOST_ROUNDS = 20
_MOST_IMAGES = 1_000_000


def expand(
    sites: CifSites, group: SymmetryGroup, cell: NDArray[np.float64], closest: float = CLOSEST
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All atoms of the cell.

    Args:
        sites: n sites.
        group: operations.
        cell: (3, 3) rows, Å.
        closest: least distance of two atoms, Å.

    Returns:
        (N,) int64, the site of each atom; (N, 3) float64, fractional coordinates in [0, 1).

    Raises:
        DataError: atoms are too near to each other, or too many.
    """
    owners, orbits, size = [], [], 0
    for row, point in enumerate(sites.points):
        orbit = _orbit(point, group, cell)
        size += len(orbit)
        if size > MOST_ATOMS:
            raise DataError(f"more than {MOST_ATOMS} atoms in the cell; smaller cells are read")
        owners.append(np.full(len(orbit), row))
        orbits.append(orbit)
    owner, points = np.concatenate(owners), np.concatenate(orbits)
    pairs, distances = _pairs(points, cell, closest)
    if len(pairs):
        kept = ~np.isin(owner, list(_listed_twice(sites, owner, pairs[distances < _LISTED_TWICE])))
        left = kept[pairs].all(axis=1)
        _check_distances(sites, owner, pairs[left], distances[left], closest)
        owner, points = owner[kept], points[kept]
    return owner, points


def is_invariant(
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    group: SymmetryGroup,
    cell: NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Whether the operations of a group bring every atom upon one of its element.

    Args:
        numbers: (N,) atomic numbers.
        points: (N, 3) fractional.
        group: operations.
        cell: (3, 3) rows, Å.
        tolerance: largest distance, Å.
    """
    if len(numbers) * len(group) > _MOST_IMAGES:
        return False
    moved = np.einsum("gij,nj->gni", group.rotations, points) + group.translations[:, None]
    images = np.tile(numbers, len(group))
    return covers(images, moved.reshape(-1, 3), numbers, points, cell, tolerance)


def covers(
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    other_numbers: NDArray[np.int64],
    others: NDArray[np.float64],
    cell: NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Check whether every atom coincides with another one of its element.

    Args:
        numbers: (N,) atomic numbers.
        points: (N, 3) fractional, anywhere.
        other_numbers: (M,) atomic numbers of the others.
        others: (M, 3) fractional, in [0, 1).
        cell: (3, 3) rows, Å.
        tolerance: greatest distance, Å.
    """
    for element in np.unique(numbers):
        theirs = others[other_numbers == element]
        if not len(theirs):
            return False
        around, _ = _with_neighbours(theirs, cell, tolerance)
        distances, _ = cKDTree(around @ cell).query(_wrapped(points[numbers == element]) @ cell)
        if distances.max() > tolerance:
            return False
    return True


def _orbit(
    point: NDArray[np.float64], group: SymmetryGroup, cell: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Positions of a site, (m, 3), brought onto its special position if it is near one."""
    if len(group) == 1:
        return _wrapped(point[None])
    fixing = np.zeros(len(group), dtype=bool)
    for _ in range(_MOST_ROUNDS):
        images = group.rotations @ point + group.translations
        nearest = images - np.round(images - point)
        near = np.linalg.norm((nearest - point) @ cell, axis=1) < ONE_ATOM
        point = nearest[near].mean(axis=0)
        if (near == fixing).all():
            break
        fixing = near
    images = group.rotations @ point + group.translations
    _check_fixed(images, point, near, cell)
    left, kept = images, []
    while len(left):
        kept.append(left[0])
        offset = left - left[0]
        left = left[np.linalg.norm((offset - np.round(offset)) @ cell, axis=1) > ONE_ATOM / 2]
    if len(kept) * int(near.sum()) != len(group):
        raise DataError(f"the images of the site at {_shown(point)} cannot be told apart")
    return _wrapped(np.array(kept))


def _check_fixed(
    images: NDArray[np.float64],
    point: NDArray[np.float64],
    near: NDArray[np.bool_],
    cell: NDArray[np.float64],
) -> None:
    """Refuse a point that the operations bringing it near to itself do not leave where it is."""
    offset = images[near] - point
    if np.abs((offset - np.round(offset)) @ cell).max() > _EXACT:
        raise DataError(f"the images of the site at {_shown(point)} lie on no special position")


def neighbours_within(
    of: NDArray[np.bool_],
    among: NDArray[np.bool_],
    points: NDArray[np.float64],
    cell: NDArray[np.float64],
    radius: float,
) -> int:
    """Most atoms of a second kind within a radius of an atom of a first one.

    Args:
        of: (N,) whether an atom is of the first kind.
        among: (N,) whether an atom is of the second kind.
        points: (N, 3) fractional, in [0, 1).
        cell: (3, 3) rows, Å; atoms at most one cell away are counted.
        radius: Å.
    """
    if not of.any() or not among.any():
        return 0
    around, _ = _with_neighbours(points[among], cell, radius)
    counts = cKDTree(around @ cell).query_ball_point(points[of] @ cell, radius, return_length=True)
    return int(np.max(counts))


def _listed_twice(sites: CifSites, owner: NDArray[np.int64], pairs: NDArray[np.int64]) -> set[int]:
    """Sites that are images of earlier ones of the same element, but for rounding."""
    twice: set[int] = set()
    for one, other in np.sort(owner[pairs], axis=1).tolist():
        if one != other and sites.elements[one] == sites.elements[other]:
            twice.add(other)
    return twice


def _check_distances(
    sites: CifSites,
    owner: NDArray[np.int64],
    pairs: NDArray[np.int64],
    distances: NDArray[np.float64],
    closest: float,
) -> None:
    if not len(pairs):
        return
    nearest = int(distances.argmin())
    first, second = (quoted(sites.labels[owner[atom]]) for atom in pairs[nearest])
    both = f"two images of site {first}" if first == second else f"sites {first} and {second}"
    raise DataError(f"{both} are {distances[nearest]:.4f} Å apart; atoms are at least {closest} Å apart")


def _pairs(
    points: NDArray[np.float64], cell: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of different atoms, or of an atom and its own image, within a radius: (p, 2) and distances (p,)."""
    around, owner = _with_neighbours(points, cell, radius)
    places = around @ cell
    pairs = cKDTree(places).query_pairs(radius, output_type="ndarray").astype(np.int64)
    pairs = pairs[pairs.min(axis=1, initial=len(around)) < len(points)]
    distances = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
    return owner[pairs], distances


def _with_neighbours(
    points: NDArray[np.float64], cell: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Atoms of the cell, then their images within a radius of it, and the atom that each of them is."""
    margin = radius * np.linalg.norm(np.linalg.inv(cell), axis=0) + 1e-9
    around, owner = [points], [np.arange(len(points))]
    for shift in product((-1.0, 0.0, 1.0), repeat=3):
        if any(shift):
            moved = points + np.array(shift)
            near = ((moved > -margin) & (moved < 1.0 + margin)).all(axis=1)
            around.append(moved[near])
            owner.append(np.nonzero(near)[0])
    return np.concatenate(around), np.concatenate(owner)


def _wrapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates in [0, 1); those that rounding puts just below 1 are 0."""
    wrapped = points - np.floor(points)
    wrapped[wrapped > 1.0 - 1e-12] = 0.0
    return wrapped


def _shown(point: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in point) + ")"
