"""Which assignments the tries of a spec take, and the noise that their free parameters start from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.draws import joined, uniform
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.structures.spec import CrystalSpec

# multiples of the golden section, modulo 1, are spread evenly however many are taken
_GOLDEN = 0.6180339887498949
# without a ranking, assignments looked at for each one that may be drawn
_LISTED = 4


def drawable_assignments(
    specs: CrystalSpec, ranking: RankedAssignments | None, most: int
) -> tuple[AssignedSpecs, Tensor]:
    """The assignments of specs that may be drawn, best first, and the logarithms of their probabilities.

    Args:
        specs: n specs.
        ranking: ranking of assignments; None takes those with the fewest orbits.
        most: assignments of each.

    Returns:
        A assignments, and (A,) float64 up to a constant for each spec.
    """
    if ranking is not None:
        ranked = ranking.best(specs, most)
        return ranked.assigned, ranked.log_probability
    assigned = AssignedSpecs.of(specs, _LISTED * most, most, seed=0)
    return assigned, -2.0 * torch.log1p(assigned.place.double())


def draw_tries(
    specs: CrystalSpec, ranking: RankedAssignments | None, most: int, tries: int, seed: int
) -> tuple[AssignedSpecs, Orbits]:
    """The assignments of specs that may be drawn, and the tries of one seed; see :func:`draw_candidates`.

    Args:
        specs: n specs.
        ranking: ranking of assignments; None takes those with the fewest orbits.
        most: assignments of each.
        tries: tries of each spec.
        seed: random seed, at least 0; tries of different seeds are different ones.
    """
    assigned, log_probability = drawable_assignments(specs, ranking, most)
    numbers = torch.arange(tries, device=specs.device) + seed * tries
    return assigned, draw_candidates(assigned, log_probability, numbers)


def draw_candidates(assigned: AssignedSpecs, log_probability: Tensor, numbers: Tensor) -> Orbits:
    """Tries of specs, each an assignment with uniform parameters.

    Try 0 takes the best assignment; the others are spread over the assignments in proportion to their probabilities. An
    assignment without free parameters is the same in every try: the best one is not taken again, if there are others.

    Args:
        assigned: n specs with A assignments, those of a spec together, the best first.
        log_probability: (A,) float64, up to a constant for each spec.
        numbers: (t,) int64, of the tries of every spec.

    Returns:
        t candidates of each spec with an assignment, by spec and number. A candidate depends on its spec, on
        its number and on the seed of ``assigned`` only.
    """
    spec, first = assigned.spec, assigned.place == 0
    starts = first.nonzero()[:, 0]
    # the assignments of a spec share an interval of length one
    likely = (
        log_probability - log_probability[starts].repeat_interleave(torch.bincount(spec)[spec[starts]])
    ).exp()
    likely = likely.where(assigned.is_free | ~first, 0.0)
    total = likely.new_zeros(len(assigned.cell)).index_add_(0, spec, likely)
    share = torch.where(total[spec] > 0.0, likely / total[spec], first.double())
    ends = share.cumsum(0)
    place = (torch.arange(len(starts), device=spec.device)[:, None] + torch.frac(numbers * _GOLDEN)).flatten()
    chosen = torch.searchsorted(ends, place, right=True).clamp(max=max(len(spec) - 1, 0))
    again = numbers.repeat(len(starts)) > 0
    chosen = chosen.where(again, starts.repeat_interleave(len(numbers)))
    orbits = assigned.orbits.select(chosen)
    within = torch.arange(len(orbits.spec), device=spec.device) - orbits.start[orbits.candidate]
    number = numbers.repeat(len(starts))[orbits.candidate]
    keys = joined(joined(assigned.key[orbits.spec], number), within)
    axes = torch.arange(3, device=spec.device)
    return replace(orbits, parameters=uniform(joined(keys[:, None], axes)))
