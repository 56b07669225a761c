"""Crystals of each space group: atoms at random on its Wyckoff positions, but apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch

_ELEMENTS = (8, 22, 38, 57, 17)
_LEAST_DISTANCE = 0.6


@cache
def random_crystal(group: int, seed: int = 0) -> StructureBatch:
    """A crystal of exactly ``group``: up to three special positions are occupied, and the general one."""
    generator = np.random.default_rng([group, seed])
    special = generator.permutation(np.arange(1, len(wyckoff_positions(group))))[:3].tolist()
    return _placed(group, [*special, *[0] * (5 - len(special))], 9.0, generator)


@cache
def crystal_of_all_positions(group: int) -> StructureBatch:
    """A crystal in which each Wyckoff position of a group holds one orbit."""
    generator = np.random.default_rng([group, 1])
    return _placed(group, range(len(wyckoff_positions(group))), 20.0, generator)


def _placed(
    group: int, places: Sequence[int], shortest: float, generator: np.random.Generator
) -> StructureBatch:
    positions = wyckoff_positions(group)
    while True:
        lengths, angles = generator.uniform(shortest, 2 * shortest, 3), generator.uniform(75.0, 105.0, 3)
        parameters = torch.from_numpy(np.concatenate([lengths, angles]))[None]
        exact = lattice.complete_parameters(torch.tensor([lattice_system_of_group[group]]), parameters)
        orbits = [positions[place].orbit(generator.random(3)) for place in places]
        numbers = [
            np.full(len(orbit), _ELEMENTS[place % len(_ELEMENTS)]) for place, orbit in enumerate(orbits)
        ]
        # readers find atoms in any order
        order = generator.permutation(sum(map(len, orbits)))
        cells, points = (
            lattice.parameters_to_matrix(exact[:, :3], exact[:, 3:]).numpy(),
            np.concatenate(orbits),
        )
        if _are_apart(cells[0], points):
            return from_arrays(cells, [np.concatenate(numbers)[order]], [points[order]], [group])


def _are_apart(cell: NDArray[np.float64], points: NDArray[np.float64]) -> bool:
    """Whether no two atoms, images included, are too close; cells are so long that neighbouring images suffice."""
    wrapped = np.mod(np.mod(points, 1.0), 1.0)
    images = wrapped + np.array(list(itertools.product((-1, 0, 1), repeat=3)))[:, None]
    distances, _ = cKDTree(images.reshape(-1, 3) @ cell).query(wrapped @ cell, k=2)
    return bool(distances[:, 1].min() > _LEAST_DISTANCE)
