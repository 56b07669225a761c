"""Crowded and lacking specs are placed once more; ties fall by order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.generators.base import Generation
from gflownet_crystal.generators.placing.best_tries import best_of_each
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.generators.selection import apart, drawn_apart, make_room
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from tests.generators.test_placement import assert_fulfils, random_specs


@pytest.fixture(scope="module")
def specs() -> CrystalSpec:
    return random_specs(12, seed=4)


@pytest.fixture(scope="module")
def rough(specs: CrystalSpec) -> Generation:
    return QuickPlacement(assignments=2, tries=1, steps=0, min_ratio=0.0).generate(specs, seed=3)


def closest_pairs(structures: StructureBatch) -> list[float]:
    """Shortest distances by pymatgen, periodic images of an atom included."""
    return [
        min(
            neighbour.nn_distance
            for around in one.get_all_neighbors(min(one.lattice.abc) + 1e-3)
            for neighbour in around
        )
        for one in to_pymatgen(structures)
    ]


def test_what_lacks_is_placed_and_what_was_placed_stays(specs: CrystalSpec, rough: Generation) -> None:
    some = torch.arange(0, len(rough.rows), 2)
    given = Generation(rough.structures[some], rough.rows[some])
    found = make_room(given, specs, seed=1, min_distance=0.0)
    assert_fulfils(found, specs, 0.0)
    assert found.rows.tolist() == rough.rows.tolist()
    at = torch.isin(found.rows, given.rows)
    assert torch.equal(found.structures[at.nonzero()[:, 0]].fractional, given.structures.fractional)


def test_crowded_structures_give_way_to_roomier_ones_only(specs: CrystalSpec, rough: Generation) -> None:
    found = make_room(rough, specs, seed=1, min_distance=0.0, min_ratio=0.9)
    before, after = shortest_distance_ratio(rough.structures), shortest_distance_ratio(found.structures)
    assert found.rows.tolist() == rough.rows.tolist()
    assert (after >= before).all() and (after > before).any()
    assert torch.equal(after[before >= 0.9], before[before >= 0.9])


def test_atoms_that_touch_are_left_out(specs: CrystalSpec, rough: Generation) -> None:
    limit = 1.6
    kept = [
        row
        for row, least in zip(rough.rows.tolist(), closest_pairs(rough.structures), strict=True)
        if least >= limit
    ]
    assert 0 < len(kept) < len(rough.rows)
    backwards = torch.arange(len(rough.rows)).flip(0)
    found = apart(Generation(rough.structures[backwards], rough.rows[backwards]), limit)
    assert found.rows.tolist() == kept


def test_crowded_draws_are_drawn_again(specs: CrystalSpec) -> None:
    limit, tries = 2.2, 3

    def draw(some: CrystalSpec, number: int) -> Generation:
        return QuickPlacement(assignments=2, tries=1, steps=0, min_ratio=0.0).generate(some, seed=3 + number)

    drawn = [draw(specs, number) for number in range(tries)]
    first: dict[int, int] = {}
    for number, one in enumerate(drawn):
        for row, least in zip(one.rows.tolist(), closest_pairs(one.structures), strict=True):
            if least >= limit:
                first.setdefault(row, number)
    assert set(first.values()) >= {0, 2} and len(first) < len(specs)
    found = drawn_apart(specs, tries, limit, draw)
    assert found.rows.tolist() == sorted(first)
    for place, row in enumerate(found.rows.tolist()):
        own = drawn[first[row]]
        at = own.rows.tolist().index(row)
        expected = own.structures[at : at + 1].fractional
        assert torch.equal(found.structures[place : place + 1].fractional, expected)


def test_nothing_is_drawn_of_no_specs(specs: CrystalSpec) -> None:
    found = drawn_apart(specs[:0], 2, 0.5, lambda some, _: QuickPlacement().generate(some))
    assert len(found.structures) == len(found.rows) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.25, 0.250001, 1.0])), max_size=12))
def test_the_first_of_the_best_is_kept(tries: list[tuple[int, float]]) -> None:
    tries = sorted(tries, key=lambda one: one[0])
    expected = {}
    for row, (spec, rating) in enumerate(tries):
        if spec not in expected or round(rating, 4) > round(tries[expected[spec]][1], 4):
            expected[spec] = row
    spec = torch.tensor([one[0] for one in tries], dtype=torch.int64)
    rating = torch.tensor([one[1] for one in tries], dtype=torch.float64)
    assert best_of_each(spec, rating).tolist() == [expected[key] for key in sorted(expected)]
