"""All metrics of a set of structures, most of them against a reference set, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from gflownet_crystal.common.run_schema import SPACE_GROUP
from gflownet_crystal.evaluation.compared_sets import Evaluation
from gflownet_crystal.evaluation.coverage import coverage
from gflownet_crystal.evaluation.frechet import frechet_distance, frechet_floor
from gflownet_crystal.evaluation.matching import Pair, match_rate, rms_distances
from gflownet_crystal.evaluation.novelty import NOVEL, first_known
from gflownet_crystal.evaluation.parallel import to_crystals
from gflownet_crystal.evaluation.space_group_agreement import space_group_agreement
from gflownet_crystal.evaluation.uniqueness import FAILED, first_match, unique
from gflownet_crystal.evaluation.validity import structure_validity
from gflownet_crystal.evaluation.wasserstein import distance_of_finite, noise_floor, structure_properties
from gflownet_crystal.structures.symmetry import find_space_groups


@dataclass(frozen=True)
class Result:
    """A metric of a set.

    Attributes:
        figures: figures as JSON values.
        columns: columns by name, a value of each structure that could be read.
    """

    figures: dict[str, Any]
    columns: dict[str, list[Any]] = field(default_factory=dict)


def validity(evaluation: Evaluation) -> Result:
    """Shares of valid structures, among all that were given; see :mod:`gflownet_crystal.evaluation.validity`."""
    own = structure_validity(evaluation.made.structures)
    figures = {
        "structure": evaluation.share(evaluation.structure_valid),
        "structure_with_own_images": evaluation.share(own),
        "composition": evaluation.share(evaluation.composition_valid),
        "both": evaluation.share(evaluation.valid),
        "oxidation_states": evaluation.choices.oxidation_states,
    }
    masks = {"structure_valid": evaluation.structure_valid, "composition_valid": evaluation.composition_valid}
    return Result(figures, {name: mask.tolist() for name, mask in masks.items()})


def covered(evaluation: Evaluation) -> Result:
    """COV-R and COV-P; see :mod:`gflownet_crystal.evaluation.coverage`."""
    made, reference = evaluation.fingerprints
    choices = evaluation.choices
    cutoffs = choices.site_cutoff, choices.composition_cutoff
    found = coverage(made, reference, evaluation.scaler, len(evaluation.made), *cutoffs)
    figures = asdict(found) | {"scaler": evaluation.scaler.origin}
    figures |= {"n_reference_without_fingerprint": len(reference) - int(reference.done.sum())}
    return Result(figures, {"fingerprint_failure": made.reasons})


def distances(evaluation: Evaluation) -> Result:
    """Wasserstein distances of valid structures; see :mod:`gflownet_crystal.evaluation.wasserstein`."""
    mine, others = (structure_properties(s.structures) for s in (evaluation.made, evaluation.reference))
    if evaluation.choices.network is not None:
        made, reference = evaluation.states
        mine["energy"], others["energy"] = made.tensors["energy"], reference.tensors["energy"]
    # a sample of the reference is cut down to its valid structures as the set is
    valid, drawn = evaluation.valid, evaluation.reference_valid
    figures: dict[str, Any] = {"n_valid": int(valid.sum())}
    for name, values in mine.items():
        counted = values[valid & values.isfinite()]
        if not len(counted):
            figures[name] = {"distance": None, "floor": None, "floor_95": None}
            continue
        mean, high = noise_floor(others[name][drawn], others[name], len(counted), evaluation.generator())
        distance = distance_of_finite(counted, others[name])
        figures[name] = {"distance": distance, "floor": mean, "floor_95": high}
    if evaluation.choices.network is not None:
        figures["energy_by"] = evaluation.network.name
    return Result(figures, {name: values.tolist() for name, values in mine.items()})


def frechet(evaluation: Evaluation) -> Result:
    """Frechet distances on fingerprints and features; see :mod:`gflownet_crystal.evaluation.frechet`."""
    sets = {"crystalnn": (evaluation.fingerprints, "sites")}
    if evaluation.choices.network is not None:
        sets[evaluation.network.name] = (evaluation.states, "states")
    figures: dict[str, Any] = {}
    for name, (both, tensor) in sets.items():
        mine, others = (features.tensors[tensor][features.done] for features in both)
        counts = {"n": len(mine), "n_failed": len(evaluation.made) - len(mine)}
        if min(len(mine), len(others)) < 2:
            figures[name] = {"distance": None, "floor": None, "floor_largest": None, **counts}
            continue
        mean, high = frechet_floor(others, len(mine), evaluation.generator())
        distance = frechet_distance(mine, others)
        figures[name] = {"distance": distance, "floor": mean, "floor_largest": high, **counts}
    return Result(figures)


def space_groups(evaluation: Evaluation) -> Result:
    """Space groups found; see :mod:`gflownet_crystal.evaluation.space_group_agreement`."""
    symprec = evaluation.choices.symprec
    found = find_space_groups(evaluation.made.structures, symprec)
    reference = None
    if evaluation.has_reference:
        reference = find_space_groups(evaluation.reference.structures, symprec)
    claimed = evaluation.made.claimed
    figures = asdict(space_group_agreement(found, claimed, reference))
    return Result(
        figures | {"symprec": symprec}, {SPACE_GROUP: found.tolist(), "space_group_claimed": claimed.tolist()}
    )


def uniqueness(evaluation: Evaluation) -> Result:
    """Share of first ones of their kind; see :mod:`gflownet_crystal.evaluation.uniqueness`."""
    tolerances = evaluation.choices.tolerances
    matched = first_match(evaluation.crystals, evaluation.formulas, tolerances, evaluation.work)
    figures = {"unique": evaluation.share(unique(matched)), "n_failed": int((matched == FAILED).sum())}
    # as numbers of the structures that were given, unreadable ones included
    rows = torch.where(matched == FAILED, FAILED, evaluation.made.rows[matched.clamp(min=0)])
    return Result(figures, {"first_match": rows.tolist()})


def novelty(evaluation: Evaluation) -> Result:
    """Share that the reference does not have; see :mod:`gflownet_crystal.evaluation.novelty`."""
    tolerances = evaluation.choices.tolerances
    crystals, formulas = evaluation.crystals, evaluation.formulas
    found = first_known(crystals, formulas, *evaluation.known, tolerances, evaluation.work)
    new_formula = set(evaluation.known[1])
    fresh = torch.tensor([formula not in new_formula for formula in formulas], dtype=torch.bool)
    figures = {
        "novel": evaluation.share(found == NOVEL),
        "novel_formula": evaluation.share(fresh),
        "n_failed": int((found == FAILED).sum()),
    }
    names, rows = evaluation.reference.names, evaluation.reference.rows
    return Result(
        figures, {"known_as": [names[int(rows[row])] if row >= 0 else "" for row in found.tolist()]}
    )


def matching(evaluation: Evaluation) -> Result:
    """Match rate and RMSE against the targets; see :mod:`gflownet_crystal.evaluation.matching`.

    Raises:
        ConfigError: no targets were given.
        DataError: structures cannot be told to belong to targets.
    """
    target, targets = evaluation.aims
    place = torch.full((len(targets),), -1, dtype=torch.int64)
    place[targets.rows] = torch.arange(len(targets.rows))
    readable = place[target] >= 0
    goals = to_crystals(targets.structures)
    pairs = [
        Pair(evaluation.crystals[row], goals[int(place[target[row]])])
        for row in readable.nonzero()[:, 0].tolist()
    ]
    distance = torch.full((len(target),), torch.nan, dtype=torch.float64)
    distance[readable], reasons = rms_distances(pairs, evaluation.choices.tolerances, evaluation.work)
    n_failed = sum(map(bool, reasons))
    found = match_rate(distance, target, evaluation.valid, len(targets), n_failed)
    return Result(asdict(found), {"target": target.tolist(), "rms_to_target": distance.tolist()})


METRICS: Mapping[str, Callable[[Evaluation], Result]] = {
    "validity": validity,
    "space_groups": space_groups,
    "uniqueness": uniqueness,
    "novelty": novelty,
    "matching": matching,
    "distances": distances,
    "coverage": covered,
    "frechet": frechet,
}
"""Metrics that need no relaxation, by name, cheap ones first."""

COMPARING = ("novelty", "distances", "coverage", "frechet")
"""Those of them that mean nothing without a reference."""
