"""Supercells of a crystal in which some atoms are replaced: one of each set that symmetry makes of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.structures.convert import from_arrays, iterate_arrays
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.structures.symmetry import conventional_structures, find_dataset, quiet_moyo
from gflownet_crystal.workflows.predicting.starting_structures import Start, Variants, scaled

MOST_ARRANGEMENTS = 20_000
"""Arrangements of the replaced atoms that are looked at."""

_MOST_ATOMS = 300

Dope = Mapping[str, Mapping[str, int]]
"""Number of atoms of each new element in place of each own element, as ``{"Li": {"Na": 1}}``."""


def doped(start: Start, supercell: Sequence[int], dope: Dope, n: int) -> Variants:
    """Supercells of the conventional cell with some atoms replaced.

    Args:
        start: the crystal.
        supercell: repetitions along a, b, c.
        dope: atoms to replace in the whole supercell.
        n: largest number of variants, those of most equivalent arrangements first; the share of all arrangements that
            are equivalent to a variant is its probability.

    Raises:
        ConfigError: repetitions or atoms that the crystal does not have, or too many arrangements.
    """
    numbers, points, cell = _supercell(start, supercell)
    labels = _arrangements(numbers, dope)
    kept, share = _distinct(labels, _permutations(cell, numbers, points))
    order = np.argsort(-share, kind="stable")[:n]
    labels = labels[kept[order]]
    v = len(labels)
    flat = from_arrays(np.repeat(cell[None], v, axis=0), list(labels), [points] * v, [0] * v)
    made = conventional_structures(flat)
    own = from_arrays(cell[None], [numbers], [points], [0])
    ratio = reference_volume(flat.composition) / reference_volume(own.composition)
    return Variants(scaled(made, ratio), torch.from_numpy(share[order]))


def _supercell(
    start: Start, supercell: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Atomic numbers, fractional coordinates and lattice vectors of a supercell."""
    if len(supercell) != 3 or min(supercell) < 1:
        raise ConfigError(
            f"supercell={list(supercell)} must be three whole numbers of at least 1, as [2,1,1]"
        )
    ((cell, numbers, points),) = iterate_arrays(start.structure)
    times = np.array(supercell)
    if (size := len(numbers) * int(times.prod())) > _MOST_ATOMS:
        raise ConfigError(
            f"supercell={list(supercell)} has {size} atoms, more than {_MOST_ATOMS}; give a smaller one"
        )
    shifts = np.array(list(np.ndindex(*supercell)), dtype=np.float64)
    repeated = ((points[:, None] + shifts) / times).reshape(-1, 3)
    return np.repeat(numbers, len(shifts)), repeated, cell * times[:, None]


def _arrangements(numbers: NDArray[np.int64], dope: Dope) -> NDArray[np.int64]:
    """(A, N) atomic numbers of all arrangements of the replaced atoms."""
    labels, text = numbers[None], f"dope={ {own: dict(new) for own, new in dope.items()} }"
    for own, replaced in dope.items():
        if own not in ATOMIC_NUMBERS or ATOMIC_NUMBERS[own] not in numbers:
            held = ", ".join(SYMBOLS[number] for number in np.unique(numbers).tolist())
            raise ConfigError(f"{text}: the crystal has no {own}; it has {held}")
        for new, count in replaced.items():
            if new not in ATOMIC_NUMBERS or ATOMIC_NUMBERS[new] in numbers:
                raise ConfigError(f"{text}: give an element that the crystal does not have in place of {new}")
            left = int((labels[0] == ATOMIC_NUMBERS[own]).sum())
            if not 1 <= count <= left:
                raise ConfigError(
                    f"{text}: {count} atoms of {own}, of which there are {left}; raise supercell"
                )
            if (total := len(labels) * comb(left, count)) > MOST_ARRANGEMENTS:
                raise ConfigError(
                    f"{text}: {total} arrangements, more than {MOST_ARRANGEMENTS}; replace fewer atoms, or lower "
                    "supercell"
                )
            labels = _replaced(labels, ATOMIC_NUMBERS[own], ATOMIC_NUMBERS[new], count)
    return labels


def _replaced(labels: NDArray[np.int64], own: int, new: int, count: int) -> NDArray[np.int64]:
    """Each arrangement with ``count`` of its atoms ``own`` replaced in all ways."""
    sites = np.nonzero(labels == own)[1].reshape(len(labels), -1)
    ways = np.array(list(combinations(range(sites.shape[1]), count)))
    made = np.repeat(labels, len(ways), axis=0)
    chosen = sites[:, ways].reshape(len(made), count)
    np.put_along_axis(made, chosen, new, axis=1)
    return made


def _permutations(
    cell: NDArray[np.float64], numbers: NDArray[np.int64], points: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(G, N): where the symmetry operations of a supercell, its translations included, take each atom."""
    with quiet_moyo():
        dataset = find_dataset(cell, numbers, points)
    if dataset is None:
        raise DataError("no symmetry found in the supercell: check the distances in start")
    found = []
    for rotation, translation in zip(
        dataset.operations.rotations, dataset.operations.translations, strict=True
    ):
        images = points @ np.array(rotation).T + np.array(translation)
        difference = images[:, None] - points
        difference -= np.round(difference)
        found.append(np.linalg.norm(difference @ cell, axis=2).argmin(axis=1))
    return np.array(found)


def _distinct(
    labels: NDArray[np.int64], permutations: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first row of each set of equivalent arrangements, and the share of all that the set has."""
    weights = np.random.default_rng(0).integers(1, 2**40, size=labels.shape[1])
    # an arrangement is known by the smallest of the sums over its images
    smallest = labels @ weights
    for permutation in permutations:
        np.minimum(smallest, labels[:, permutation] @ weights, out=smallest)
    _, first, count = np.unique(smallest, return_index=True, return_counts=True)
    return first, count / len(labels)
