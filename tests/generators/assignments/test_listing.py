"""Listed assignments against the exact enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from gflownet_crystal.crystallography.normalizer import canonical_assignment
from gflownet_crystal.generators.assignments.listing import AssignmentLister
from gflownet_crystal.generators.assignments.table import AssignmentTable, Key
from gflownet_crystal.generators.wyckoff_assignments import WyckoffAssignments

KEYS: list[Key] = [(2, (1, 1, 2)), (12, (2, 4)), (62, (4, 8)), (139, (2, 4, 4)), (194, (2, 2, 4)), (221, (1, 1, 3)),
                   (216, (4, 8, 4)), (225, (4, 8, 24)), (166, (3, 6, 6)), (1, (2, 3))]  # fmt: skip


def exact(key: Key) -> set[tuple[tuple[int, ...], ...]]:
    """Canonical forms of all assignments."""
    return {canonical_assignment(key[0], one) for one in WyckoffAssignments(*key)}


@pytest.mark.parametrize("key", KEYS)
def test_all_are_listed_once_up_to_the_normaliser(key: Key) -> None:
    listing = AssignmentLister(AssignmentTable(), 2000).of(key)
    forms = [canonical_assignment(key[0], one) for one in listing.assignments]
    assert len(forms) == len(set(forms))
    assert set(forms) == exact(key)
    assert (np.diff(listing.score) <= 1e-12).all()


@pytest.mark.parametrize("key", KEYS)
def test_names_are_shared_by_equivalents_only(key: Key) -> None:
    lister = AssignmentLister(AssignmentTable())
    names: dict[int, set[tuple[tuple[int, ...], ...]]] = {}
    for one in WyckoffAssignments(*key):
        names.setdefault(int(lister.name(key, one)), set()).add(canonical_assignment(key[0], one))
    assert all(len(forms) == 1 for forms in names.values())
    assert len(names) == len(exact(key))


def test_seen_assignments_come_first_and_the_cap_holds() -> None:
    key = (139, (2, 4, 4))
    last = sorted(exact(key))[-3:]
    table = AssignmentTable.of([key] * 6, [last[0], *[last[1]] * 3, *[last[2]] * 2])
    listing = AssignmentLister(table, 5).of(key)
    assert len(listing) == 5
    assert listing.assignments[:3] == (last[1], last[2], last[0])
    assert len({canonical_assignment(139, one) for one in listing.assignments}) == 5


def test_a_missing_truth_is_added() -> None:
    key = (139, (2, 4, 4))
    lister = AssignmentLister(AssignmentTable(), 3)
    for truth in sorted(exact(key)):
        listing, row = lister.including(key, truth)
        assert canonical_assignment(139, listing.assignments[row]) == truth
        assert len(listing) <= 4
        assert row < 3 or listing.score[row] <= listing.score[:3].min() + 1e-12


def test_arrays_are_those_of_the_assignments() -> None:
    key = (194, (2, 2, 4))
    listing = AssignmentLister(AssignmentTable(), 50).of(key)
    flat = [(e, i) for one in listing.assignments for e, own in enumerate(one) for i in own]
    start = listing.position.min() - min(i for _, i in flat)
    assert [(e, p - start) for e, p in zip(listing.element, listing.position, strict=True)] == flat
    assert listing.n_orbits.tolist() == [sum(map(len, one)) for one in listing.assignments]
    assert np.array_equal(listing.site_element[listing.orbit_site], listing.element)
    assert np.array_equal(listing.site_position[listing.orbit_site], listing.position)


@pytest.mark.parametrize("key", [(221, (1, 1, 1)), (225, (3,)), (225, ())])
def test_what_does_not_fit_has_an_empty_list(key: Key) -> None:
    listing = AssignmentLister(AssignmentTable()).of(key)
    assert len(listing) == len(listing.score) == len(listing.position) == 0


def test_a_huge_space_is_listed_at_once() -> None:
    key = (47, (8, 16, 16, 24))
    assert len(AssignmentLister(AssignmentTable(), 100).of(key)) == 100
