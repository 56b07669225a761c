"""Normalisers against the indices of the International Tables, and against structures moved by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.crystallography.build_normalizer import (
    build_table,
    coset_representatives,
    metric_rotations,
    permutation_of,
)
from gflownet_crystal.crystallography.lattice import complete_parameters
from gflownet_crystal.crystallography.normalizer import (
    _table,
    canonical_assignment,
    equivalent_assignments,
    position_permutations,
)
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import group_operations, wyckoff_positions, wyckoff_table
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.occupied_positions import occupied_positions

# index of the group in its Euclidean normaliser (International Tables A, 2006, tables 15.2.1.3 and 15.2.1.4), general
# metric, continuous shifts aside
INDICES = {
    1: 2, 2: 8, 14: 8, 15: 4, 61: 8, 62: 8, 63: 4, 123: 4, 136: 4, 139: 2, 164: 4, 166: 2, 186: 2, 194: 2, 215: 4,
    216: 8, 220: 2, 221: 2, 225: 2, 227: 2,
}  # fmt: skip

# letters that a motion of the normaliser exchanges with each other
EXCHANGED = {
    2: {"abcdefgh"},
    14: {"abcd"},
    62: {"ab"},
    136: {"ab"},
    166: {"ab", "de"},
    186: set(),
    194: {"cd"},
    216: {"abcd"},
    220: {"ab"},
    221: {"ab", "cd"},
    225: {"ab"},
    227: {"ab", "cd"},
}


def permuting_motions(group: int) -> np.ndarray:
    """Motions [W | w] of fractional coordinates of the table, one for each of its permutations, (k, 3, 4)."""
    motions = _table()["motion"][_table()["group"] == group].astype(np.float64)
    motions[:, :, 3] /= 24
    return motions


def letters(group: int) -> set[str]:
    """Classes of fixed positions that the permutations make of each other, more than one letter each."""
    positions, permutations = wyckoff_positions(group), position_permutations(group)
    classes = {"".join(sorted({positions[i].letter for i in column})) for column in permutations.T}
    fixed = {position.letter for position in positions if position.degrees_of_freedom == 0}
    return {one for one in classes if len(one) > 1 and set(one) <= fixed}


@pytest.mark.parametrize(("group", "index"), INDICES.items())
def test_cosets_are_as_many_as_in_the_tables(group: int, index: int) -> None:
    assert len(coset_representatives(group)) == index


@pytest.mark.parametrize(("group", "exchanged"), EXCHANGED.items())
def test_letters_are_exchanged_as_in_the_tables(group: int, exchanged: set[str]) -> None:
    assert letters(group) == {one for one in exchanged if len(one) > 1}


def test_the_file_is_what_the_operations_give() -> None:
    for group in (2, 12, 47, 148, 186, 212):
        distinct = {permutation_of(group, motion) for motion in coset_representatives(group)}
        assert distinct == set(map(tuple, position_permutations(group).tolist()))


def test_lattice_systems_have_their_holohedries() -> None:
    assert [len(metric_rotations(system)) for system in range(6)] == [2, 4, 8, 16, 24, 48]


@pytest.mark.parametrize("group", range(1, 231))
def test_motions_take_the_group_to_itself_and_permutations_form_a_group(group: int) -> None:
    operations = np.rint(24 * group_operations(group)).astype(int)
    names = {tuple(one.ravel()) for one in operations}
    for motion in permuting_motions(group):
        turn, shift = motion[:, :3], 24 * motion[:, 3]
        back = np.linalg.inv(turn)
        for one in operations[:: max(1, len(operations) // 8)]:
            rotation = turn @ (one[:, :3] / 24) @ back
            moved = np.rint(turn @ one[:, 3] + shift - rotation @ shift).astype(int) % 24
            assert tuple(np.column_stack([np.rint(24 * rotation).astype(int), moved]).ravel()) in names
    permutations = position_permutations(group)
    assert permutations[0].tolist() == list(range(permutations.shape[1]))
    products = {tuple(first[second]) for first in permutations for second in permutations}
    assert products == set(map(tuple, permutations))


def placed(group: int, seed: int) -> tuple[Structure, tuple[tuple[int, ...], ...]]:
    """A structure on random positions of a group, each element on one, with a general lattice, and its assignment."""
    generator = np.random.default_rng(seed)
    positions = wyckoff_positions(group)
    order = generator.permutation(len(positions))[:3]
    system = torch.tensor([int(lattice_system_of_group[group])])
    drawn = torch.tensor([[7.1, 8.3, 10.7, 81.0, 103.0, 97.0]], dtype=torch.float64)
    cell = Lattice.from_parameters(*complete_parameters(system, drawn)[0].tolist())
    species, points = [], []
    for number, index in zip((11, 17, 26), order, strict=False):
        orbit = positions[index].orbit(generator.random(3))
        species += [number] * len(orbit)
        points.append(orbit)
    return Structure(cell, species, np.concatenate(points)), tuple((int(index),) for index in order)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([2, 14, 47, 62, 82, 123, 136, 147, 156, 164, 166, 186, 194]), st.integers(0, 1000))
def test_moved_structures_are_the_same_and_have_the_permuted_assignment(group: int, seed: int) -> None:
    structure, assignment = placed(group, seed)
    motions, permutations = permuting_motions(group), position_permutations(group)
    which = seed % len(motions)
    points = structure.frac_coords @ motions[which][:, :3].T + motions[which][:, 3]
    moved = Structure(structure.lattice, structure.species, points)
    if len(structure) <= 24:
        matcher = StructureMatcher(primitive_cell=False, scale=False, stol=1e-3, ltol=1e-3, angle_tol=0.1)
        assert matcher.fit(structure, moved)
    batch = from_arrays([moved.lattice.matrix], [moved.atomic_numbers], [moved.frac_coords], [group])
    found = occupied_positions(batch, tolerance=1e-6)
    start = int(np.searchsorted(wyckoff_table().group, group))
    assert (found.position - start).tolist() == [int(permutations[which][own[0]]) for own in assignment]


@given(st.sampled_from([2, 14, 62, 123, 166, 194, 216, 221, 225]), st.integers(0, 10_000))
def test_equivalent_assignments_have_one_canonical_form(group: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    n_positions = len(wyckoff_positions(group))
    assignment = [tuple(sorted(generator.integers(0, n_positions, 2).tolist())) for _ in range(3)]
    canonical = canonical_assignment(group, assignment)
    equivalents = equivalent_assignments(group, assignment)
    assert canonical in equivalents
    assert tuple(assignment) in equivalents
    assert {canonical_assignment(group, one) for one in equivalents} == {canonical}


@pytest.mark.slow
def test_the_whole_file_is_rebuilt() -> None:
    table = build_table()
    for group in range(1, 231):
        assert (table["group"] == group).sum() == len(position_permutations(group))
