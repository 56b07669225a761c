"""Distances of sets of specs against closed forms, and the floor."""

from __future__ import annotations

import pytest

from benchmarks.spec_distances import against_floor, distances
from gflownet_crystal.common.errors import DataError
from tests.structures.test_distributions import specs

KNOWN = specs((225, "Na4 Cl4"), (225, "K4 Cl4"), (221, "Na1 Cl1"), (227, "C8"))


def test_a_set_is_at_no_distance_from_itself_in_any_order() -> None:
    assert set(distances(KNOWN, KNOWN[[3, 1, 0, 2]]).values()) == {0.0}


def test_distances_are_those_of_the_closed_form() -> None:
    found = distances(specs((225, "Na4 Cl4")), KNOWN)
    # elements: {Na 1/2, Cl 1/2} against {Na 2/7, Cl 3/7, K 1/7, C 1/7}
    assert found["elements"] == pytest.approx(2 / 7)
    assert found["space_groups"] == pytest.approx(0.5)
    assert found["n_elements"] == pytest.approx(0.25)
    # all have 8 atoms but one of 2; cells are of 125 Å^3
    assert found["n_atoms"] == pytest.approx(6 / 4)
    assert found["volume_per_atom"] == pytest.approx((125 / 2 - 125 / 8) / 4)


def test_the_ratio_is_to_the_distance_of_held_out_crystals() -> None:
    held_out = specs((225, "Na4 Cl4"), (221, "Na1 Cl1"))
    found = against_floor(specs((225, "Na4 Cl4")), held_out, KNOWN)
    for name, floor in distances(held_out, KNOWN).items():
        drawn = distances(specs((225, "Na4 Cl4")), KNOWN)[name]
        assert found[name] == {"drawn": drawn, "floor": floor, "ratio": drawn / floor}
    assert against_floor(KNOWN, KNOWN, KNOWN)["elements"] == {"drawn": 0.0, "floor": 0.0, "ratio": None}


def test_empty_sets_are_refused() -> None:
    with pytest.raises(DataError, match="at least one crystal on each side"):
        distances(KNOWN[slice(0, 0)], KNOWN)
