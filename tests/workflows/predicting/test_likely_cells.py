"""Likely groups and compositions of a formula: probabilities that sum to 1, and pairs found by brute force."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.crystallography.occupation import WyckoffOccupation
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.uniform import UniformPolicy
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec_checks import spec_faults
from gflownet_crystal.workflows.predicting.likely_cells import (
    CellKinds,
    allotted,
    draw_cells,
    kinds_of,
    log_prior,
    log_prior_of_groups,
    shares,
)
from tests.gflownet.random_models import random_model

SPACE: dict[str, Any] = {
    "elements": ("Na", "Mg", "O", "Cl"),
    "space_groups": [1, 2, 62, 139, 194, 221, 225],
    "max_count": 4,
    "n_atoms": (1, 9),
    "n_elements": (1, 3),
    "metallic": True,
    "oxidation_table": "plausible",
}


def every_kind(env: Crystal) -> list[CellKinds]:
    """All groups with all counts of the elements, those of one number of elements together."""
    counts = torch.cartesian_prod(*[torch.arange(env.composition.n_counts + 1)] * len(env.atomic_numbers))
    composition = torch.zeros(len(counts), N_ATOMIC_NUMBERS, dtype=torch.int64)
    composition[:, env.atomic_numbers] = counts
    groups = env.space_group.allowed.nonzero().squeeze(1)
    result = []
    for number in (1, 2, 3):
        own = composition[(counts > 0).sum(dim=1) == number]
        result.append(CellKinds(groups.repeat_interleave(len(own)), own.repeat(len(groups), 1)))
    return result


def test_probabilities_of_all_groups_and_compositions_sum_to_one() -> None:
    env = Crystal(**SPACE)
    model = random_model(env)
    assert float(log_prior_of_groups(model).exp().sum()) == pytest.approx(1.0, abs=1e-6)
    total, inside = 0.0, 0
    for kinds in every_kind(env):
        log_p = log_prior(model, kinds)
        total += float(log_p.exp().sum())
        inside += int(log_p.isfinite().sum())
    assert inside > 100
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("formula", ["NaCl", "MgO2", {"Na": 4, "O": 2}])
def test_pairs_are_those_whose_positions_hold_the_counts(formula: Any) -> None:
    pattern, most = FormulaPattern.of(formula), 6
    groups = [1, 14, 62, 166, 216, 225]
    kinds = kinds_of(pattern, groups, most, ("Na", "Mg", "O", "Cl"))
    found = {(int(g), int(c.sum())) for g, c in zip(kinds.space_group, kinds.composition, strict=True)}
    unit = torch.tensor([count for _, count in pattern.parts])
    expected = set()
    for group in groups:
        points = int(lattice_points(torch.tensor([group])))
        units = [u for u in range(1, 50) if u * int(unit.sum()) <= most * points]
        for times in units if pattern.is_ratio else [1]:
            counts = times * unit[None]
            if counts.sum() <= most * points and WyckoffOccupation(60).fits(torch.tensor([group]), counts):
                expected.add((group, int(counts.sum())))
    assert found == expected
    assert (kinds.composition[:, ATOMIC_NUMBERS["K"]] == 0).all()


def test_the_prior_and_known_crystals_share_the_probability() -> None:
    kinds = kinds_of(FormulaPattern.of("NaCl"), [221, 225], 2, ("Na", "Cl"))
    env = Crystal(("Na", "Cl"), space_groups=[221, 225], max_count=4)
    model = GFlowNet(env, UniformPolicy, UniformPolicy)
    known = torch.where(kinds.space_group == 225, 2.0, 1.0).double()
    by_prior, by_known = shares(kinds, model, known, 0.3)
    torch.testing.assert_close(by_known, 0.3 * known / known.sum())
    torch.testing.assert_close(by_prior, 0.7 * torch.softmax(log_prior(model, kinds), dim=0))
    alone, nothing = shares(kinds, model, torch.zeros_like(known), 0.3)
    assert float(alone.sum()) == pytest.approx(1.0) and not bool(nothing.any())


def test_a_formula_outside_the_prior_leaves_its_groups() -> None:
    env = Crystal(("Na", "Cl"), space_groups=[221, 225], max_count=4)
    model = GFlowNet(env, UniformPolicy, UniformPolicy)
    kinds = kinds_of(FormulaPattern.of("NaCl3"), [216, 221, 225], 4, ("Na", "Cl"))
    by_prior, _ = shares(kinds, model, torch.zeros(len(kinds)).double(), 0.5)
    assert set(kinds.space_group[by_prior > 0].tolist()) == {221, 225}
    assert float(by_prior.sum()) == pytest.approx(1.0)
    by_prior, by_known = shares(kinds, model, torch.ones(len(kinds)).double(), 0.5)
    assert float(by_known.sum()) == pytest.approx(0.9) and float(by_prior.sum()) == pytest.approx(0.1)


def test_cells_are_allotted_to_the_likely_first() -> None:
    assert allotted(torch.tensor([0.1, 0.6, 0.3]).double(), 6).tolist() == [1, 1, 1, 1, 2, 2]
    assert allotted(torch.tensor([0.5, 0.5]).double(), 1).tolist() == [0]


def test_drawn_cells_are_of_their_groups_also_beyond_the_counts_of_the_sampler() -> None:
    env = Crystal(("Mg", "Al", "O"), max_count=8)
    kinds = kinds_of(FormulaPattern.of("MgAl2O4"), [227, 62], 14, ("Mg", "Al", "O"))
    rows = torch.arange(len(kinds)).repeat(4)
    specs = draw_cells(GFlowNet(env, UniformPolicy, UniformPolicy), kinds, rows, seed=1)
    assert (spec_faults(specs) == 0).all()
    assert torch.equal(specs.composition, kinds.composition[rows])
    assert int(specs.composition[specs.space_group == 227].sum(dim=1).max()) == 56
