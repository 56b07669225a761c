"""Occupied positions against pyxtal's and spglib's letters, and crystals made again from them."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.normalizer import equivalent_assignments
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions, wyckoff_table
from gflownet_crystal.structures.convert import from_arrays, from_pymatgen, iterate_arrays
from gflownet_crystal.structures.occupied_positions import OccupiedPositions, occupied_positions
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures


def largest_shift(first: StructureBatch, second: StructureBatch) -> float:
    """Largest distance of an atom of a batch from the nearest of its element in the other, both ways, Å."""
    largest = 0.0
    for (cell, numbers, points), (_, others, ends) in zip(
        iterate_arrays(first), iterate_arrays(second), strict=True
    ):
        difference = points[:, None] - ends
        distance = np.linalg.norm((difference - difference.round()) @ cell, axis=2)
        distance[numbers[:, None] != others] = np.inf
        largest = max(largest, distance.min(0).max(), distance.min(1).max())
    return float(largest)


def assignment_of(found: OccupiedPositions, row: int, group: int) -> dict[int, list[int]]:
    """Indices of positions by element."""
    start = int(np.searchsorted(wyckoff_table().group, group))
    own: dict[int, list[int]] = {}
    for orbit in (found.structure == row).nonzero()[:, 0].tolist():
        own.setdefault(int(found.atomic_number[orbit]), []).append(int(found.position[orbit]) - start)
    return own


def test_known_crystals_are_made_again(crystals: list[Structure]) -> None:
    conventional = conventional_structures(from_pymatgen(crystals))
    found = occupied_positions(conventional)
    assert found.found.all()
    rebuilt = found.structures(conventional.cell, conventional.space_group)
    assert torch.equal(rebuilt.composition, conventional.composition)
    assert largest_shift(conventional, rebuilt) < 1e-8


def test_letters_are_spglibs_up_to_the_normaliser(crystals: list[Structure]) -> None:
    conventional = conventional_structures(from_pymatgen(crystals))
    found = occupied_positions(conventional)
    for row, (cell, numbers, points) in enumerate(iterate_arrays(conventional)):
        dataset = spglib.get_symmetry_dataset((cell, points, numbers), symprec=0.01)
        group = int(conventional.space_group[row])
        assert dataset is not None
        assert dataset.number == group
        index = {position.letter: place for place, position in enumerate(wyckoff_positions(group))}
        orbits = {orbit: atom for atom, orbit in reversed(list(enumerate(dataset.crystallographic_orbits)))}
        expected: dict[int, list[int]] = {}
        for atom in orbits.values():
            expected.setdefault(int(numbers[atom]), []).append(index[dataset.wyckoffs[atom]])
        own = assignment_of(found, row, group)
        equivalents = equivalent_assignments(group, [own[number] for number in sorted(own)])
        assert tuple(tuple(sorted(expected[number])) for number in sorted(expected)) in equivalents


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 230), st.integers(0, 10_000))
def test_orbits_placed_at_random_are_found(group: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    positions = wyckoff_positions(group)
    order = generator.permutation(len(positions))[:3].tolist()
    orbits = [positions[index].orbit(generator.random(3)) for index in order]
    numbers = np.repeat([8, 22, 38], 1)[: len(order)]
    atoms = np.concatenate([[number] * len(orbit) for number, orbit in zip(numbers, orbits, strict=False)])
    shuffled = generator.permutation(len(atoms))
    # any cell will do: what is looked for are the operations of the coordinates
    cell = np.diag([20.0, 20.0, 20.0])
    batch = from_arrays([cell], [atoms[shuffled]], [np.concatenate(orbits)[shuffled]], [group])
    found = occupied_positions(batch, tolerance=1e-6)
    assert found.found.all()
    assert assignment_of(found, 0, group) == {
        int(number): [index] for number, index in zip(numbers, order, strict=False)
    }
    assert largest_shift(batch, found.structures(batch.cell, batch.space_group)) < 1e-8


def test_crystals_without_the_symmetry_are_left_out(crystals: list[Structure]) -> None:
    conventional = conventional_structures(from_pymatgen(crystals[:3]))
    moved = conventional.fractional.clone()
    moved[conventional.structure_index == 1] += torch.tensor([0.05, 0.0, 0.0])
    moved[(conventional.structure_index == 1).nonzero()[0]] -= torch.tensor([0.02, 0.03, 0.01])
    broken = StructureBatch(
        conventional.cell,
        conventional.atomic_numbers,
        moved,
        conventional.structure_index,
        conventional.space_group,
    )
    found = occupied_positions(broken)
    assert found.found.tolist() == [True, False, True]
    assert set(found.structure.tolist()) == {0, 2}


def test_rows_are_taken(crystals: list[Structure]) -> None:
    conventional = conventional_structures(from_pymatgen(crystals))
    found = occupied_positions(conventional)
    rows = torch.tensor([5, 0, 9])
    alone = occupied_positions(conventional[rows])
    for first, second in zip(vars(found.take(rows)).values(), vars(alone).values(), strict=True):
        assert torch.equal(first, second)


def test_a_group_must_be_claimed(crystals: list[Structure]) -> None:
    with pytest.raises(DataError, match="claims no space group"):
        occupied_positions(from_pymatgen(crystals[:1]))
