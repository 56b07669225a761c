"""Each objective samples a small grid in proportion to its target; objectives that lack something are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.flow_objectives import (
    DetailedBalance,
    PolicyGradient,
    SubTrajectoryBalance,
)
from gflownet_crystal.gflownet.likelihood import log_ratios
from gflownet_crystal.gflownet.model import GFlowNet, PolicyFactory
from gflownet_crystal.gflownet.objectives import MaximumLikelihood, Objective
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.policies import MLPPolicy, UniformPolicy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import BoxCorners, GridCorners
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.settings import LocalSearchSettings, TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.training.schedule import ScheduleSettings
from tests.gflownet.random_models import exact_log_prob, generator, random_model

LENGTH = 4
GRID = Hypergrid(2, LENGTH)
LOG_REWARD = GridCorners(LENGTH)(GRID.cells()).value.log()
ON_POLICY = {"exploration": 0.0}


def forward(shapes: Any) -> MLPPolicy:
    return MLPPolicy(shapes, 2, 32, activation="silu", seed=0)


def learned(shapes: Any) -> MLPPolicy:
    return MLPPolicy(shapes, 2, 32, activation="silu", seed=1)


def trained(
    objective: Objective,
    backward: PolicyFactory,
    extra: dict[str, Any],
    prior: Prior | None = None,
    dataset: Terminals | None = None,
) -> GFlowNet:
    model = GFlowNet(GRID, forward, backward, flow=forward if objective.needs_flows else None)
    settings = {"iterations": 200, "batch_size": 64, "learning_rate": 1e-2, "ema": 0.98}
    schedule = ScheduleSettings("cosine", warm_up=5, final_factor=0.02)
    chosen = TrainerSettings(schedule=schedule, **settings | extra)
    reward = Reward(GridCorners(LENGTH), LogValue())
    training = SamplerTraining(model, reward, objective, chosen, dataset=dataset, prior=prior)
    take_all_steps(training)
    training.finish()
    return model


def distance(model: GFlowNet, log_mass: Tensor) -> float:
    """Total variation between the exact distribution and the normalised one of the log-masses."""
    return 0.5 * float((exact_log_prob(model, LENGTH).exp() - torch.softmax(log_mass, 0)).abs().sum())


@pytest.mark.parametrize(
    ("objective", "backward", "extra"),
    [
        (DetailedBalance(), learned, {}),
        (SubTrajectoryBalance(), UniformPolicy, {"replay_fraction": 0.3}),
        (DetailedBalance(forward_looking=True), UniformPolicy, {}),
        (SubTrajectoryBalance(forward_looking=True), learned, {}),
        (PolicyGradient(), learned, ON_POLICY),
        (PolicyGradient(0.9), UniformPolicy, ON_POLICY),
    ],
    ids=["detailed", "parts", "looking", "parts, looking", "gradient, learned", "gradient"],
)
def test_the_grid_is_sampled_in_proportion_to_its_reward(
    objective: Objective, backward: PolicyFactory, extra: dict[str, Any]
) -> None:
    model = trained(objective, backward, extra)
    assert distance(model, LOG_REWARD) <= 0.03
    assert float(model.log_z.detach()) == pytest.approx(float(LOG_REWARD.logsumexp(0)), abs=0.05)


@pytest.mark.parametrize(
    ("weight", "objective", "backward", "extra"),
    [
        (1.0, SubTrajectoryBalance(), learned, {}),
        (0.5, DetailedBalance(), learned, {}),
        (1.0, PolicyGradient(), UniformPolicy, ON_POLICY),
    ],
    ids=["whole, parts", "half, detailed", "whole, gradient"],
)
def test_the_grid_is_sampled_in_proportion_to_prior_and_reward(
    weight: float, objective: Objective, backward: PolicyFactory, extra: dict[str, Any]
) -> None:
    prior = Prior(random_model(GRID), weight, n_samples=32)
    log_mass = LOG_REWARD + weight * exact_log_prob(prior.model, LENGTH)
    assert distance(prior.model, log_mass) > 0.1
    model = trained(objective, backward, extra, prior)
    assert distance(model, log_mass) <= 0.03


def test_maximum_likelihood_learns_the_distribution_of_the_data_whatever_the_reward() -> None:
    log_mass = torch.linspace(-2.0, 2.0, LENGTH**2, dtype=torch.float64)
    rows = torch.multinomial(torch.softmax(log_mass, 0), 100_000, True, generator=generator())
    terminal, _ = GRID.encode(GRID.cells()[rows])
    dataset = Terminals(terminal, LOG_REWARD[rows])
    model = trained(MaximumLikelihood(), learned, {"dataset_fraction": 0.75}, dataset=dataset)
    assert distance(model, log_mass) <= 0.03
    assert distance(model, LOG_REWARD) > 0.2
    # the backward policy was fitted to the forward one: importance weights are nearly equal
    end, _ = GRID.encode(GRID.cells())
    assert float(log_ratios(model, end, 32, generator(2)).var(dim=1).mean()) < 0.1


@pytest.mark.parametrize(
    ("objective", "settings", "told"),
    [
        (MaximumLikelihood(), {}, r"dataset\.path"),
        (PolicyGradient(), {"exploration": 0.1}, r"trainer\.exploration 0\.1"),
        (PolicyGradient(), {"exploration": 0.0, "exploration_final": 0.2}, "exploration"),
        (PolicyGradient(), {"exploration": 0.0, "replay_fraction": 0.5}, "replay_fraction"),
        (PolicyGradient(), {"exploration": 0.0, "temperature_final": 2.0}, "temperature"),
        (PolicyGradient(), {"exploration": 0.0, "local_search": LocalSearchSettings(0.5)}, "local_search"),
    ],
)
def test_an_objective_that_lacks_something_says_so(
    objective: Objective, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        trained(objective, UniformPolicy, {"iterations": 1} | settings)


def test_flows_need_a_network_and_foresight_needs_unfinished_objects() -> None:
    settings, reward = TrainerSettings(iterations=1), Reward(GridCorners(LENGTH), LogValue())
    with pytest.raises(ConfigError, match="flow="):
        SamplerTraining(GFlowNet(GRID, forward, learned), reward, DetailedBalance(), settings)
    model, one = GFlowNet(GRID, forward, learned), GRID.empty_context(1, torch.device("cpu"))
    with pytest.raises(ConfigError, match="no flow network"):
        model.log_flow(0, GRID.grid.source(one), one)
    box = GFlowNet(Box(2), forward, learned, flow=forward)
    with pytest.raises(ConfigError, match="forward_looking=false"):
        SamplerTraining(
            box, Reward(BoxCorners(2), LogValue()), DetailedBalance(forward_looking=True), settings
        )


def test_maximum_likelihood_takes_no_prior() -> None:
    with pytest.raises(ConfigError, match="prior=null"):
        trained(MaximumLikelihood(), learned, {"dataset_fraction": 0.5}, Prior(random_model(GRID)))
