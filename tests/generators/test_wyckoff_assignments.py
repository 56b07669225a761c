"""Assignments against brute force over the numbers of orbits on every position."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyxtal.symmetry import Group

from gflownet_crystal.generators.wyckoff_assignments import Assignment, WyckoffAssignments

CASES = [
    (1, (3, 2)),
    (2, (1, 2, 3)),
    (12, (2, 4)),
    (16, (3, 2)),
    (47, (2, 1, 1)),
    (123, (2, 3)),
    (139, (2, 4, 4)),
    (166, (3, 6, 6)),
    (194, (2, 2, 4)),
    (208, (12, 8)),
    (216, (4, 8, 4)),
    (221, (1, 1, 3)),
    (221, (1, 1, 1)),
    (225, (4, 8, 24)),
    (227, (8, 16, 32)),
    (62, (4, 5)),
]


def brute_force(group: int, counts: tuple[int, ...]) -> set[Assignment]:
    """All multisets of pyxtal's positions for each element, then those that use no fixed position twice."""
    positions = [(position.multiplicity, position.get_dof()) for position in Group(group)]

    def own(count: int) -> Iterator[tuple[int, ...]]:
        for n_orbits in range(1, count + 1):
            for choice in combinations_with_replacement(range(len(positions)), n_orbits):
                if sum(positions[index][0] for index in choice) == count:
                    yield choice

    fitting = set()
    for assignment in product(*(list(own(count)) for count in counts)):
        fixed = [index for choice in assignment for index in choice if positions[index][1] == 0]
        if len(fixed) == len(set(fixed)):
            fitting.add(assignment)
    return fitting


@pytest.mark.parametrize(("group", "counts"), [case for case in CASES if max(case[1]) < 7 or case[0] == 216])
def test_every_assignment_once(group: int, counts: tuple[int, ...]) -> None:
    assignments = WyckoffAssignments(group, counts)
    listed = list(assignments)
    assert len(listed) == len(set(listed)) == assignments.total
    assert set(listed) == brute_force(group, counts)


@pytest.mark.parametrize(("group", "counts"), CASES)
def test_the_count_is_that_of_the_list_and_orbits_rise(group: int, counts: tuple[int, ...]) -> None:
    assignments = WyckoffAssignments(group, counts)
    listed = list(assignments)
    assert len(set(listed)) == assignments.total
    n_orbits = [sum(len(own) for own in assignment) for assignment in listed]
    assert n_orbits == sorted(n_orbits)


@given(
    st.integers(1, 230), st.lists(st.integers(1, 4).flatmap(lambda n: st.just(2**n)), min_size=1, max_size=3)
)
def test_listed_assignments_hold_the_atoms(group: int, counts: list[int]) -> None:
    positions = [(position.multiplicity, position.get_dof()) for position in Group(group)]
    for assignment in islice(WyckoffAssignments(group, counts), 50):
        assert [sum(positions[index][0] for index in own) for own in assignment] == counts
        fixed = [index for own in assignment for index in own if positions[index][1] == 0]
        assert len(fixed) == len(set(fixed))


def test_two_one_fold_positions_hold_no_three_elements() -> None:
    assert WyckoffAssignments(221, (1, 1, 1)).total == 0
    assert list(WyckoffAssignments(221, (1, 1, 1))) == []


def test_the_first_come_at_once_however_many_there_are() -> None:
    assignments = WyckoffAssignments(47, (8, 16, 16, 24))
    assert assignments.total > 10**18
    first = next(iter(assignments))
    assert sum(map(len, first)) == min(sum(map(len, other)) for other in islice(assignments, 100))
