"""One network samples R(x; c) / Z(c) for each of several conditions c, with and without a prior."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.conditions import Conditions
from gflownet_crystal.gflownet.flow_objectives import DetailedBalance
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import (
    LogVariance,
    MaximumLikelihood,
    Objective,
    RelativeTrajectoryBalance,
    TrajectoryBalance,
)
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.policies import MLPPolicy, UniformPolicy
from gflownet_crystal.proxies.reward import Boltzmann, Reward
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.settings import ReplaySettings, TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.training.schedule import ScheduleSettings
from tests.gflownet.random_models import exact_log_prob, random_model

LENGTH = 4
GRID = Hypergrid(2, LENGTH)
VALUE = GridCorners(LENGTH)(GRID.cells()).value
BETAS = Conditions({"beta": (-4.0, 1.0)})
REWARD = Reward(GridCorners(LENGTH), Boltzmann(1.0))
RECENT = ReplaySettings(keep="recent", draw="uniform")
SETTINGS = TrainerSettings(
    iterations=200,
    batch_size=128,
    learning_rate=1e-2,
    ema=0.98,
    schedule=ScheduleSettings("cosine", warm_up=5, final_factor=0.02),
)


def forward(shapes: Any) -> MLPPolicy:
    return MLPPolicy(shapes, 2, 32, activation="silu", seed=0)


def training(objective: Objective, prior: Prior | None = None, **settings: Any) -> SamplerTraining:
    flow = forward if objective.needs_flows else None
    model = GFlowNet(GRID, forward, UniformPolicy, flow=flow, conditions=BETAS)
    return SamplerTraining(model, REWARD, objective, replace(SETTINGS, **settings), prior=prior)


@pytest.mark.parametrize(
    ("objective", "has_prior", "settings"),
    [
        (TrajectoryBalance(), False, {"replay_fraction": 0.25, "replay": RECENT}),
        (LogVariance(), False, {}),
        (DetailedBalance(), False, {"iterations": 350}),
        (RelativeTrajectoryBalance(), True, {}),
    ],
    ids=["trajectory", "variance", "detailed", "relative"],
)
def test_each_beta_has_its_own_exact_distribution_and_log_z(
    objective: Objective, has_prior: bool, settings: dict[str, Any]
) -> None:
    prior = Prior(random_model(GRID)) if has_prior else None
    log_prior = exact_log_prob(prior.model, LENGTH) if prior is not None else torch.zeros(LENGTH**2)
    task = training(objective, prior, **settings)
    take_all_steps(task)
    task.finish()
    ends = [torch.softmax(log_prior - beta * VALUE, 0) for beta in (-4.0, 1.0)]
    # the betas differ much more than the model may be off
    assert 0.5 * float((ends[0] - ends[1]).abs().sum()) > 0.3
    for beta in (-4.0, -1.5, 1.0):
        log_mass = log_prior - beta * VALUE
        held = task.model.at({"beta": beta})
        off = 0.5 * float((exact_log_prob(held, LENGTH).exp() - torch.softmax(log_mass, 0)).abs().sum())
        assert off <= 0.03
        assert float(held.log_z.detach()) == pytest.approx(float(log_mass.logsumexp(0)), abs=0.06)


def test_log_z_starts_at_the_mean_log_target_of_each_condition() -> None:
    task = training(
        TrajectoryBalance(), batch_size=4096, learning_rate=1e-12, learning_rate_log_z=1e-12, ema=None
    )
    # conditions have no effect on the policy yet, so that log Z falls by the policy's mean value times beta
    mean = float(exact_log_prob(task.model.at({"beta": 0.0}), LENGTH).exp() @ VALUE)
    task.take_step()
    starts = [float(task.model.at({"beta": beta}).log_z.detach()) for beta in (-4.0, -1.5, 1.0)]
    assert starts[0] - starts[1] == pytest.approx(2.5 * mean, abs=0.1)
    assert starts[1] - starts[2] == pytest.approx(2.5 * mean, abs=0.1)
    assert abs(mean) > 0.2


def test_what_knows_no_conditions_says_so() -> None:
    with pytest.raises(ConfigError, match=r"condition\.beta"):
        training(DetailedBalance(forward_looking=True))
    with pytest.raises(ConfigError, match=r"trainer\.replay\.keep=recent"):
        training(TrajectoryBalance(), replay_fraction=0.25)
    terminal, _ = GRID.encode(GRID.cells())
    data = Terminals(terminal, VALUE)
    model = GFlowNet(GRID, forward, UniformPolicy, conditions=BETAS)
    with pytest.raises(ConfigError, match=r"condition\.beta"):
        SamplerTraining(
            model, REWARD, MaximumLikelihood(), replace(SETTINGS, dataset_fraction=0.5), dataset=data
        )
