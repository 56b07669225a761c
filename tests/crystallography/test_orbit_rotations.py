"""Rotations between the atoms of orbits, and origins that groups do not tell apart, by the operations themselves."""

from __future__ import annotations

import numpy as np
import pytest

from gflownet_crystal.crystallography.orbit_rotations import orbit_rotations, origin_shifts
from gflownet_crystal.crystallography.wyckoff import group_operations, wyckoff_positions, wyckoff_table


def _is_whole(vectors: np.ndarray) -> np.ndarray:
    return np.abs(vectors - np.round(vectors)).max(-1) < 1e-9


@pytest.mark.parametrize("group", [1, 5, 14, 62, 88, 122, 146, 155, 166, 176, 194, 205, 216, 227, 230])
def test_an_operation_with_the_rotation_takes_the_first_atom_to_the_other(group: int) -> None:
    start = int(np.flatnonzero(wyckoff_table().group == group)[0])
    first = int(wyckoff_table().multiplicity[:start].astype(int).sum())
    operations = group_operations(group)
    parameters = np.random.default_rng(group).random(3)
    for position in wyckoff_positions(group):
        turns = orbit_rotations()[first : first + position.multiplicity]
        first += position.multiplicity
        points = position.operations[:, :, :3] @ parameters + position.operations[:, :, 3]
        for turn, point in zip(turns, points, strict=True):
            fitting = operations[(operations[:, :, :3] == turn).all((1, 2))]
            assert _is_whole(points[0] @ turn.T + fitting[:, :, 3] - point).any()


# from the tables of Euclidean normalisers in International Tables A; in a polar group, what is left of the free axes
@pytest.mark.parametrize(
    ("group", "count"),
    [(1, 1), (2, 8), (14, 8), (62, 8), (225, 2), (227, 2), (216, 4), (33, 4), (194, 2), (166, 2), (187, 6)],
)
def test_the_number_of_origins_is_that_of_the_normaliser(group: int, count: int) -> None:
    assert len(origin_shifts(group)) == count
    assert not origin_shifts(group)[0].any()


@pytest.mark.parametrize("group", [2, 12, 15, 62, 88, 98, 122, 146, 148, 152, 176, 187, 216, 225, 230])
def test_a_shifted_group_is_the_group_itself(group: int) -> None:
    operations = group_operations(group)
    for shift in origin_shifts(group):
        moved = operations[:, :, 3] + operations[:, :, :3] @ shift - shift
        for turn, translation in zip(operations[:, :, :3], moved, strict=True):
            same = operations[(operations[:, :, :3] == turn).all((1, 2))]
            assert _is_whole(same[:, :, 3] - translation).any()
