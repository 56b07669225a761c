"""Conditional distributions of a sampler within a restriction, against enumeration of the whole space."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.evaluation.samplers import effective_sample_size
from gflownet_crystal.gflownet.conditional import resample, sample_weighted
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_terminal
from tests.gflownet.random_models import generator, random_model

GROUPS = [25, 47, 99, 221]
RESTRICTION = {"elements": ["Li", "Na", "O"], "space_groups": [25, 47, 221], "n_atoms": [3, 6]}
Distribution = dict[tuple[int, ...], float]


def crystals(groups: list[int]) -> Crystal:
    return Crystal(
        ["Li", "Na", "Mg", "O", "Cl"], groups, max_count=4, n_elements=[1, 3], n_atoms=[1, 8], metallic=True
    )


class Discrete(Crystal):
    """Without the lattice, so that it can be enumerated."""

    def _build(self, *args: object) -> None:
        super()._build(*args)  # type: ignore[arg-type]
        self.stages = self.stages[:2]


def key(env: Crystal, terminal: Context) -> list[tuple[int, ...]]:
    group, composition = terminal.states[:2]
    counts = torch.zeros(terminal.n, 119, dtype=torch.int64)
    counts[:, env.atomic_numbers] = composition.counts
    return [tuple(row) for row in torch.cat([group.group[:, None], counts], dim=1).tolist()]


def enumerated(model: GFlowNet) -> Distribution:
    """The distribution of groups and compositions that a model of crystals makes, without sampling."""
    env = model.env
    assert isinstance(env, Crystal)
    discrete = Discrete.__new__(Discrete)
    groups = env.space_group.allowed.nonzero().squeeze(1).tolist()
    discrete._build(env.rules, groups, env.lattice.box, env.lattice.minimum_increment)
    short = random_model(discrete)
    for stage in range(2):
        trained = model.forward_policy.networks[stage].state_dict()
        short.forward_policy.networks[stage].load_state_dict(trained)
    terminal, probability = terminal_distribution(short)
    return dict(zip(key(discrete, terminal), probability.tolist(), strict=True))


@cache
def models() -> tuple[GFlowNet, GFlowNet]:
    model = random_model(crystals(GROUPS), seed=5)
    env = model.env
    assert isinstance(env, Crystal)
    return model, model.in_env(env.restrict(**RESTRICTION))


@cache
def conditional() -> Distribution:
    """Part of the whole distribution that a restriction leaves, by its words."""
    left = {
        row: p
        for row, p in enumerated(models()[0]).items()
        if row[0] != 99 and 3 <= sum(row[1:]) <= 6 and not row[1 + 12] and not row[1 + 17]
    }
    total = sum(left.values())
    return {row: p / total for row, p in left.items()}


def distance(found: Distribution, exact: Distribution) -> float:
    return 0.5 * sum(abs(found.get(row, 0.0) - exact.get(row, 0.0)) for row in found.keys() | exact.keys())


@cache
def plain_distance() -> float:
    """Between the sampler under tighter masks and its own conditional; errors below half of it tell them apart."""
    return distance(enumerated(models()[1]), conditional())


def weighted_shares(rows: list[tuple[int, ...]], weight: Tensor) -> Distribution:
    shares: Distribution = {}
    for row, share in zip(rows, (weight / weight.sum()).tolist(), strict=True):
        shares[row] = shares.get(row, 0.0) + share
    return shares


def largest_error(rows: list[tuple[int, ...]], weight: Tensor, exact: Distribution) -> float:
    """Bound on the total variation of weighted samples from their target, exceeded once in ten thousand times.

    The mean error of a share is at most its standard error, that of a ratio of means; the sum of all errors exceeds its
    mean by no more than McDiarmid's inequality says of as many samples as the weighted ones are worth.
    """
    squares = weight.square()
    variance = {row: p * p * float(squares.sum()) for row, p in exact.items()}
    for row, square in zip(rows, squares.tolist(), strict=True):
        variance[row] += square * (1.0 - 2.0 * exact[row])
    mean = 0.5 * sum(map(math.sqrt, variance.values())) / float(weight.sum())
    return mean + math.sqrt(math.log(1e4) / (2.0 * effective_sample_size(weight.log())))


def test_the_sampler_under_tighter_masks_is_far_from_its_own_conditional_distribution() -> None:
    plain = enumerated(models()[1])
    assert sum(plain.values()) == pytest.approx(1.0) and plain.keys() == conditional().keys()
    assert plain_distance() > 0.2


def test_admitted_objects_of_the_whole_sampler_have_the_conditional_distribution() -> None:
    model, narrow = models()
    terminal = sample_terminal(model, 60_000, generator())
    assert isinstance(narrow.env, Crystal)
    kept = terminal[narrow.env.admits(model.env.objects(terminal))]
    rows, weight = key(crystals(GROUPS), kept), torch.ones(kept.n, dtype=torch.float64)
    found, bound = weighted_shares(rows, weight), largest_error(rows, weight, conditional())
    assert distance(found, conditional()) < bound < 0.5 * plain_distance()


@pytest.mark.parametrize("n_trajectories", [1, 4])
def test_weighted_objects_have_the_conditional_distribution_for_any_number_of_trajectories(
    n_trajectories: int,
) -> None:
    model, narrow = models()
    terminal, log_weight = sample_weighted(model, narrow, 10_000, n_trajectories, generator(1), 5000)
    assert isinstance(narrow.env, Crystal)
    rows, weight = key(narrow.env, terminal), log_weight.exp()
    found, bound = weighted_shares(rows, weight), largest_error(rows, weight, conditional())
    assert distance(found, conditional()) < bound < 0.5 * plain_distance()
    # the mean weight is the probability of the restricted space
    whole = sum(p for row, p in enumerated(model).items() if row in conditional())
    error = float(weight.std()) / math.sqrt(len(weight))
    assert abs(float(weight.mean()) - whole) < 4.0 * error
    drawn = resample(log_weight, 5_000, generator(2))
    again = weighted_shares([rows[row] for row in drawn.tolist()], torch.ones(5_000))
    assert distance(again, found) < len(rows) / 5_000 / 2


def test_weights_of_many_trajectories_are_the_ratio_of_the_two_distributions() -> None:
    model, narrow = models()
    terminal, log_weight = sample_weighted(model, narrow, 60, 200, generator(3))
    whole, plain = enumerated(model), enumerated(narrow)
    assert isinstance(narrow.env, Crystal)
    exact = torch.tensor([math.log(whole[row] / plain[row]) for row in key(narrow.env, terminal)])
    assert float((log_weight - exact).abs().mean()) < 0.05
    # the stages of the lattice are equal, so that they add nothing, not even noise
    pairs = zip(model.env.stages, narrow.env.stages, strict=True)
    assert [wide.same_rules(tight) for wide, tight in pairs] == [False, False, True]


def test_objects_that_the_sampler_cannot_make_have_no_weight() -> None:
    model = random_model(crystals([25, 47]), seed=5)
    other = model.in_env(crystals([25, 221]))
    terminal, log_weight = sample_weighted(model, other, 300, 2, generator())
    group = terminal.states[0].group
    assert set(group.tolist()) == {25, 221}
    assert torch.equal(log_weight == -math.inf, group == 221)


def test_a_model_in_another_environment_shares_weights_and_leaves_the_first_alone() -> None:
    model, narrow = models()
    assert narrow.log_z_weights is model.log_z_weights and narrow.env is not model.env
    assert model.env.space_group.allowed[99] and not narrow.env.space_group.allowed[99]


def test_systematic_resampling_takes_each_row_as_often_as_its_weight_says() -> None:
    weight = torch.tensor([0.5, 0.0, 2.5, 1.0], dtype=torch.float64)
    counts = torch.stack(
        [
            torch.bincount(resample(weight.log() - 800.0, 8, generator(seed)), minlength=4)
            for seed in range(200)
        ]
    )
    assert bool(((counts - 2.0 * weight).abs() < 1.0).all())
    rows = torch.bincount(resample(weight.log(), 3, generator()), minlength=4)
    assert int(rows.sum()) == 3 and int(rows[1]) == 0


@pytest.mark.parametrize("log_weight", [[-math.inf, -math.inf], [0.0, math.nan]])
def test_weights_that_nothing_can_be_drawn_by_are_refused(log_weight: list[float]) -> None:
    with pytest.raises(DataError, match="resampling"):
        resample(torch.tensor(log_weight), 2, generator())


def test_an_object_needs_a_trajectory() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        sample_weighted(*models(), 2, 0, generator())
