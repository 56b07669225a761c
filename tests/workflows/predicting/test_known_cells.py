"""Prototypes of a formula among the pairs of a group and a composition that are asked for."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.generators.prototypes.known import KnownPrototypes
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.workflows.predicting.known_cells import known_cells
from gflownet_crystal.workflows.predicting.likely_cells import kinds_of


@pytest.fixture(scope="module")
def known() -> KnownPrototypes:
    return KnownPrototypes.load()


def test_prototypes_stay_within_groups_and_sizes(known: KnownPrototypes) -> None:
    kinds = kinds_of(FormulaPattern.of("NaCl"), [62, 221, 225], 4, ("Na", "Cl"))
    found = known_cells(known, kinds, torch.zeros(len(kinds)).double())
    assert float(found.weights.sum()) == pytest.approx(1.0)
    assert torch.equal(kinds.space_group[found.pair], found.proposals.space_group)
    assert torch.equal(kinds.composition[found.pair], found.proposals.composition)
    made = found.structures(known, 3)
    torch.testing.assert_close(made.composition, found.proposals.composition[:3])
    # symmetry holds to the last digit, and volumes are near those of the elements
    assert bool(occupied_positions(made).found.all())
    ratio = made.volume / reference_volume(made.composition)
    assert bool(((ratio > 0.5) & (ratio < 2.0)).all())


def test_formulas_of_a_family_count_by_their_probability(known: KnownPrototypes) -> None:
    pattern = FormulaPattern.of("AX", {"A": ["Na", "K"], "X": ["Cl"]})
    kinds = kinds_of(pattern, [225], 2, ("Na", "K", "Cl"))
    of_sodium = kinds.composition[:, 11] > 0
    likely = torch.where(of_sodium, 0.75, 0.25).double()
    found = known_cells(known, kinds, likely.log())
    weights = found.weights[of_sodium].sum(), found.weights[~of_sodium].sum()
    # of each formula the prototypes in the group count alone
    shares = []
    for formula in ("NaCl", "KCl"):
        every = known.of_formula(text_to_composition([formula])[0])
        shares.append(
            float(every.weight[(every.space_group == 225) & (every.composition.sum(dim=1) == 8)].sum())
        )
    assert float(weights[0] / weights[1]) == pytest.approx(3.0 * shares[0] / shares[1])


def test_groups_without_known_crystals_give_none(known: KnownPrototypes) -> None:
    kinds = kinds_of(FormulaPattern.of("NaCl"), [195], 4, ("Na", "Cl"))
    found = known_cells(known, kinds, torch.zeros(len(kinds)).double())
    assert len(found.structures(known, 10)) == 0 and float(found.weights.sum()) == 0.0


def test_a_formula_that_the_prior_never_makes_has_its_prototypes(known: KnownPrototypes) -> None:
    kinds = kinds_of(FormulaPattern.of("LaSi2Ni2"), [129, 139], 10, ("La", "Si", "Ni"))
    never = torch.full((len(kinds),), -math.inf).double()
    found, equal = (known_cells(known, kinds, log_p) for log_p in (never, torch.zeros_like(never)))
    assert torch.equal(found.share, equal.share) and bool((found.share > 0.0).all())
    assert float(found.weights.sum()) == pytest.approx(1.0)
