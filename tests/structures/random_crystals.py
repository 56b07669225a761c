"""Crystals of each space group: atoms at random on its Wyckoff positions, but apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.distances import shortest_distance
from gflownet_crystal.structures.structure import StructureBatch

_ELEMENTS = (8, 22, 38, 57, 17)
_LEAST_DISTANCE = 0.6


def random_crystal(group: int, seed: int = 0) -> StructureBatch:
    """A crystal of exactly ``group``: up to three special positions are occupied, and the general one."""
    generator = np.random.default_rng([group, seed])
    special = generator.permutation(np.arange(1, len(wyckoff_positions(group))))[:3].tolist()
    return _placed(group, [*special, *[0] * (5 - len(special))], 9.0, generator)


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
        crystal = from_arrays(
            lattice.parameters_to_matrix(exact[:, :3], exact[:, 3:]).numpy(),
            [np.concatenate(numbers)[order]],
            [np.concatenate(orbits)[order]],
            [group],
        )
        if shortest_distance(crystal).item() > _LEAST_DISTANCE:
            return crystal
