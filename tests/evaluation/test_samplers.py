"""Measures of samplers against counts by hand, closed forms, and the frequencies of many samples."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import spearmanr

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.evaluation.samplers import (
    distance_to_exact,
    effective_sample_size,
    occurrence,
    spearman_error,
    top_diversity,
)
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.policies import UniformPolicy
from gflownet_crystal.proxies import Boltzmann, Reward
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec


def test_occurrence_counts_classes_and_weighs_them():
    admitted = torch.tensor([True, True, True, True, False])
    even = occurrence(torch.tensor([5, 5, 0, 0, 0]), admitted)
    assert (even.n_admitted, even.n_seen, even.share) == (4, 2, 0.5)
    assert even.effective == pytest.approx(2.0)
    # entropy of shares 3/4 and 1/4
    uneven = occurrence(torch.tensor([3, 1, 0, 0, 0]), admitted)
    assert uneven.effective == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))
    assert occurrence(torch.zeros(5), admitted).effective == 0.0
    with pytest.raises(DataError, match="among the allowed ones"):
        occurrence(torch.tensor([1, 0, 0, 0, 1]), admitted)


def specs(formulas: list[str], groups: list[int], edges: list[float]) -> CrystalSpec:
    n = len(formulas)
    lengths = torch.tensor(edges, dtype=torch.float64)[:, None].expand(n, 3).clone()
    right = torch.full((n, 3), 90.0, dtype=torch.float64)
    return CrystalSpec(torch.tensor(groups), text_to_composition(formulas), lengths, right)


def test_diversity_of_the_best_without_repeats():
    batch = specs(
        ["Na4 Cl4", "Na4 Cl4", "Mg4 O4", "Na4 Cl4", "Na2 O2"],
        [225, 225, 225, 221, 2],
        [5.6, 5.6, 4.2, 5.6, 4.0],
    )
    reward = torch.tensor([3.0, 2.0, 5.0, 4.0, -9.0])
    found = top_diversity(batch, reward, k=3)
    # the first and the second are one; the worst is left out
    assert (found.n, found.n_formulas, found.n_space_groups, found.n_elements) == (3, 2, 2, 4)
    # of three pairs, two have no element in common and one has all
    assert found.composition_distance == pytest.approx(2 / 3)
    logs = [math.log(5.6**3 / 8)] * 2 + [math.log(4.2**3 / 8)]
    mean = sum(logs) / 3
    assert found.volume_spread == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in logs) / 3))
    whole = top_diversity(batch, reward)
    # halves of sodium are shared: 0 + 4 * (0 or 1/2 or 1) over six pairs
    pairs = [1.0, 0.0, 0.5, 1.0, 0.5, 0.5]
    assert whole.composition_distance == pytest.approx(sum(pairs) / 6)
    alone = top_diversity(batch, reward, k=1)
    assert math.isnan(alone.composition_distance) and alone.volume_spread == 0.0
    with pytest.raises(DataError, match="at least one"):
        top_diversity(batch[torch.zeros(0, dtype=torch.int64)], reward[:0])


def test_effective_samples_of_weights():
    assert effective_sample_size(torch.full((7,), -800.0)) == pytest.approx(7.0)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert effective_sample_size(weights.log() + 900.0) == pytest.approx(36.0 / 14.0)
    assert effective_sample_size(torch.tensor([0.0, -math.inf])) == pytest.approx(1.0)
    with pytest.raises(DataError, match="numbers"):
        effective_sample_size(torch.tensor([math.nan]))


def test_the_error_of_a_rank_correlation_is_its_spread_over_samples():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(300, 150, generator=generator, dtype=torch.float64)
    second = first + torch.randn(300, 150, generator=generator, dtype=torch.float64)
    found = [spearmanr(x.numpy(), y.numpy()).statistic for x, y in zip(first, second, strict=True)]
    spread = float(torch.tensor(found).std())
    assert spearman_error(first[0], second[0], generator) == pytest.approx(spread, rel=0.35)


def test_distance_to_the_exact_distribution():
    env = Hypergrid(2, 4)
    model = GFlowNet(env, UniformPolicy, UniformPolicy)
    reward = Reward(GridCorners(4), Boltzmann(beta=-1.0))
    found = distance_to_exact(model, reward)
    terminal = sample_terminal(model, 100_000, torch.Generator().manual_seed(0))
    cells = env.objects(terminal).long()
    frequency = torch.bincount(cells[:, 0] * 4 + cells[:, 1], minlength=16).double() / len(cells)
    every = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    log_reward = reward(every.to(env.objects(terminal).dtype)).log_reward.double()
    target = log_reward.softmax(0)
    assert found.n_objects == 16
    assert found.total_variation == pytest.approx(total_variation(frequency, target), abs=0.01)
    assert found.kl == pytest.approx(float((target * (target / frequency).log()).sum()), abs=0.02)
    assert found.log_z == pytest.approx(float(log_reward.logsumexp(0)))
    assert found.log_z_error == pytest.approx(float(model.log_z.detach()) - found.log_z)


def test_continuous_spaces_have_no_exact_distribution():
    model = GFlowNet(Box(2), UniformPolicy, UniformPolicy)
    with pytest.raises(ConfigError, match="continuous"):
        distance_to_exact(model, Reward(GridCorners(4), Boltzmann(beta=-1.0)))
