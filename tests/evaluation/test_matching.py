"""Match rates, likeness and novelty against plain loops of pymatgen's StructureMatcher."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.evaluation.compared_sets import reduced_formulas
from gflownet_crystal.evaluation.matching import Pair, Tolerances, match_rate, rms_distances
from gflownet_crystal.evaluation.novelty import NOVEL, first_known
from gflownet_crystal.evaluation.parallel import Crystal, Work
from gflownet_crystal.evaluation.uniqueness import FAILED, Repeats, first_match, unique
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.evaluation.crystals import arrays, rattled, some_crystals

MATCHER = StructureMatcher(stol=0.5, ltol=0.3, angle_tol=10)


def spoilt(crystal: Crystal, factor: float = np.nan) -> Crystal:
    """A crystal that no comparison can take: a vector of its cell is not a number, or far too long."""
    cell, numbers, points = crystal
    return cell * np.array([1.0, 1.0, factor])[:, None], numbers, points


def test_rates_are_those_of_a_plain_loop():
    goals = some_crystals()
    # three tries of each: nearly right, far off, and another crystal's cell and elements
    tries = [rattled(goals, 0.2, 1), rattled(goals, 1.5, 2), goals[torch.arange(8).roll(1)]]
    made = StructureBatch.cat(tries)
    target = torch.arange(8).repeat(3)
    valid = torch.ones(24, dtype=torch.bool)
    valid[2] = False
    crystals, aims = arrays(made), arrays(goals)
    pairs = [Pair(crystal, aims[goal]) for crystal, goal in zip(crystals, target.tolist(), strict=True)]
    distance, reasons = rms_distances(pairs, Tolerances(), Work())
    found = match_rate(distance, target, valid, 10)

    plain = [
        MATCHER.get_rms_dist(structure, aim)
        for structure, aim in zip(to_pymatgen(made), 3 * to_pymatgen(goals), strict=True)
    ]
    rms = [None if pair is None else pair[0] for pair in plain]
    best = [[rms[row + 8 * t] for t in range(3) if rms[row + 8 * t] is not None] for row in range(8)]
    first = [x for x in rms[:8] if x is not None]
    assert not any(reasons) and len(first) > 0 and any(x is None for x in rms)
    assert found.match_rate == pytest.approx(len(first) / 10)
    assert found.rmse == pytest.approx(np.mean(first))
    assert found.match_rate_any == pytest.approx(sum(map(bool, best)) / 10)
    assert found.rmse_best == pytest.approx(np.mean([min(x) for x in best if x]))
    counted = [x for row, x in enumerate(rms[:8]) if x is not None and row != 2]
    assert found.match_rate_valid == pytest.approx(len(counted) / 10)
    assert (found.n_targets, found.n_failed) == (10, 0)


def test_a_comparison_that_fails_is_counted():
    crystals = arrays(some_crystals()[:2])
    pairs = [Pair(spoilt(crystals[0]), crystals[0]), Pair(crystals[1], crystals[1])]
    distance, reasons = rms_distances(pairs, Tolerances(), Work())
    assert bool(reasons[0]) and not reasons[1]
    assert distance[0].isnan() and float(distance[1]) == pytest.approx(0.0, abs=1e-6)


def test_no_match_at_all_and_targets_out_of_range():
    nothing = match_rate(torch.tensor([torch.nan]), torch.tensor([0]), torch.tensor([True]), 2)
    assert nothing.match_rate == nothing.match_rate_any == 0.0 and np.isnan(nothing.rmse)
    with pytest.raises(DataError, match="targets 0 to 1"):
        match_rate(torch.zeros(1), torch.tensor([2]), torch.tensor([True]), 2)


@pytest.mark.parametrize("value", [0.0, -1.0, True, "wide", float("nan")])
def test_tolerances_are_checked(value: object):
    with pytest.raises(ConfigError, match="stol"):
        Tolerances(stol=value)  # type: ignore[arg-type]


def several() -> StructureBatch:
    """Crystals of which some match, in several cells, and some have equal formulas without a match."""
    crystals = some_crystals()
    polymorph = some_crystals()[2:3]
    # the elements of sodium chloride in the structure of caesium chloride
    polymorph.atomic_numbers[:] = torch.tensor([11, 17])
    return StructureBatch.cat([crystals[:4], polymorph, rattled(crystals[:4], 0.1), some_crystals(1.05)[:6]])


def test_likeness_is_a_plain_loop():
    batch = several()
    found = first_match(arrays(batch), reduced_formulas(batch), Tolerances(), Work())
    structures = to_pymatgen(batch)
    kinds: list[int] = []
    expected = []
    for row, structure in enumerate(structures):
        matched = next((kind for kind in kinds if MATCHER.fit(structures[kind], structure)), row)
        expected.append(matched)
        if matched == row:
            kinds.append(row)
    assert found.tolist() == expected
    assert unique(found).nonzero()[:, 0].tolist() == kinds
    assert 4 in kinds and len(kinds) < len(structures)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_repeats_are_those_of_a_plain_loop_whatever_the_batches(size: int):
    batch = several()
    crystals, formulas = arrays(batch), reduced_formulas(batch)
    # one that cannot be compared repeats nothing, and nothing repeats it
    crystals.insert(1, spoilt(crystals[0], np.nan))
    formulas.insert(1, formulas[0])
    repeats = Repeats(Tolerances())
    found = [
        repeats.add(crystals[start : start + size], formulas[start : start + size])
        for start in range(0, len(crystals), size)
    ]
    kinds: list[Structure] = []
    expected = []
    for structure in to_pymatgen(batch):
        expected.append(any(MATCHER.fit(kind, structure) for kind in kinds))
        if not expected[-1]:
            kinds.append(structure)
    expected.insert(1, False)
    assert np.concatenate(found).tolist() == expected and 1 < sum(expected) < len(expected)


def test_novelty_is_a_plain_loop():
    batch, reference = several(), some_crystals(0.97)[torch.tensor([3, 0, 5])]
    found = first_known(
        arrays(batch),
        reduced_formulas(batch),
        arrays(reference),
        reduced_formulas(reference),
        Tolerances(),
        Work(),
    )
    known = to_pymatgen(reference)
    expected = [
        next((row for row, other in enumerate(known) if MATCHER.fit(structure, other)), NOVEL)
        for structure in to_pymatgen(batch)
    ]
    assert found.tolist() == expected and {NOVEL, 0, 1} <= set(expected)


@pytest.mark.parametrize("factor", [np.nan, 0.0, 1e6])
def test_structures_that_cannot_be_compared_are_neither_unique_nor_novel(factor: float):
    batch = some_crystals()[torch.tensor([0, 0, 1])]
    crystals, formulas = arrays(batch), reduced_formulas(batch)
    crystals[0] = spoilt(crystals[0], factor)
    matched = first_match(crystals, formulas, Tolerances(), Work())
    assert matched.tolist() == [FAILED, 1, 2]
    crystals.reverse()
    assert first_match(crystals, formulas[::-1], Tolerances(), Work()).tolist() == [0, 1, FAILED]
    crystals.reverse()
    known = first_known(crystals, formulas, arrays(batch[:1]), formulas[:1], Tolerances(), Work())
    assert known.tolist() == [FAILED, 0, NOVEL]
