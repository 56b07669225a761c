"""Tries of specs: the best assignment first, shares by probability, no try repeated in vain, no word from the batch."""

from __future__ import annotations

import torch

from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.assignments.drawing import draw_candidates
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from tests.generators.test_placement import random_specs


def _taken(assigned: AssignedSpecs, drawn: Orbits, tries: int) -> torch.Tensor:
    """The place of the assignment of each candidate, by its positions and elements."""
    offered = assigned.orbits
    places = []
    for candidate in range(len(drawn.n_orbits)):
        mine = drawn.candidate == candidate
        spec = int(drawn.spec[mine][0])
        for assignment in (assigned.spec == spec).nonzero()[:, 0].tolist():
            other = offered.candidate == assignment
            if drawn.position[mine].equal(offered.position[other]) and drawn.atomic_number[mine].equal(
                offered.atomic_number[other]
            ):
                places.append(int(assigned.place[assignment]))
                break
    assert len(places) == len(drawn.n_orbits)
    return torch.tensor(places).reshape(-1, tries)


def test_shares_are_the_probabilities_and_the_first_try_is_the_best() -> None:
    specs = random_specs(60, seed=1)
    assigned = AssignedSpecs.of(specs, 40, 4, seed=0)
    log_probability = -0.7 * assigned.place.double()
    tries = 200
    drawn = draw_candidates(assigned, log_probability, torch.arange(tries))
    taken = _taken(assigned, drawn, tries)
    assert not bool(taken[:, 0].any())
    for row, spec in enumerate(assigned.spec.unique().tolist()):
        mine = assigned.spec == spec
        weight = log_probability[mine].exp()
        if not bool(assigned.is_free[mine][0]) and int(mine.sum()) > 1:
            weight[0] = 0.0
        counts = torch.bincount(taken[row, 1:], minlength=int(mine.sum()))
        expected = weight / weight.sum() * (tries - 1)
        torch.testing.assert_close(counts.double(), expected, rtol=0, atol=4.0)


def test_a_try_depends_on_its_spec_and_its_number_alone() -> None:
    specs = random_specs(20, seed=2)
    together = AssignedSpecs.of(specs, 40, 4, seed=0)
    some = draw_candidates(together, -together.place.double(), torch.arange(8))
    later = draw_candidates(together, -together.place.double(), torch.arange(5, 8))
    parameters = [some.select(rows) for rows in torch.arange(len(some.n_orbits)).split(8)]
    for row, (mine, spec) in enumerate(zip(parameters, together.spec.unique().tolist(), strict=True)):
        own = AssignedSpecs.of(specs[spec : spec + 1], 40, 4, seed=0)
        alone = draw_candidates(own, -own.place.double(), torch.arange(8))
        assert alone.parameters.equal(mine.parameters)
        assert alone.position.equal(mine.position)
        tail = later.select(torch.arange(3 * row, 3 * row + 3))
        assert tail.parameters.equal(mine.select(torch.arange(5, 8)).parameters)


def test_no_specs_make_no_tries() -> None:
    empty = AssignedSpecs.of(random_specs(3, seed=0)[:0], 4, 4, seed=0)
    drawn = draw_candidates(empty, torch.zeros(0, dtype=torch.float64), torch.arange(3))
    assert len(drawn.candidate) == 0
