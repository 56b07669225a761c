"""Trainings with a prior reach prior(x)^w R(x) / Z, and leave the prior as it was."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import exactness_prior
from gflownet_crystal.common.checkpoint import TrainingStopped, load_checkpoint, newest_checkpoint
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.likelihood import log_ratios
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet, PolicyFactory
from gflownet_crystal.gflownet.objectives import (
    LogVariance,
    Objective,
    RelativeTrajectoryBalance,
    TrajectoryBalance,
)
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.policies import MLPPolicy, UniformPolicy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.samplers.settings import ReplaySettings, TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from tests.gflownet.random_models import exact_log_prob, generator, random_model


def make_engine(
    folder: Path,
    prior: Prior | None,
    objective: Objective,
    length: int = 6,
    backward: PolicyFactory = UniformPolicy,
    **settings: Any,
) -> Engine[SamplerTraining]:
    env = Hypergrid(2, length)
    model = GFlowNet(env, lambda shapes: MLPPolicy(shapes, 2, 32, seed=0), backward)
    chosen = TrainerSettings(**{"batch_size": 32, "checkpoint_every": 5, "exploration": 0.2} | settings)
    reward = Reward(GridCorners(length), LogValue())
    training = SamplerTraining(model, reward, objective, chosen, prior=prior)
    return Engine(training, folder, chosen.checkpoint_every, quiet=True)


def learned(shapes: Any) -> MLPPolicy:
    return MLPPolicy(shapes, 2, 32, seed=1)


@pytest.mark.parametrize(
    ("weight", "objective", "backward", "extra"),
    [
        (1.0, RelativeTrajectoryBalance(), learned, {"replay_fraction": 0.3}),
        (1.0, LogVariance(huber=5.0), UniformPolicy, {}),
        (0.5, RelativeTrajectoryBalance(), learned, {"ema": 0.98}),
    ],
    ids=["whole, replay, learned", "whole, log variance", "half, learned"],
)
def test_the_grid_is_sampled_in_proportion_to_prior_and_reward(
    tmp_path: Path, weight: float, objective: Objective, backward: PolicyFactory, extra: dict[str, Any]
) -> None:
    prior = Prior(random_model(Hypergrid(2, 5)), weight, n_samples=32)
    settings = {"iterations": 250, "batch_size": 128, "learning_rate": 5e-3, "checkpoint_every": 250} | extra
    engine = make_engine(tmp_path, prior, objective, 5, backward=backward, **settings)
    untrained = _spread(engine.training.model)
    engine.train()
    engine.training.finish()
    log_prior = exact_log_prob(prior.model, 5)
    log_mass = GridCorners(5)(Hypergrid(2, 5).cells()).value.log() + weight * log_prior
    log_z = torch.logsumexp(log_mass, dim=0)
    made, target = exact_log_prob(engine.training.model, 5).exp(), (log_mass - log_z).exp()
    assert 0.5 * float((log_prior.exp() - target).abs().sum()) > 0.1
    assert 0.5 * float((made - target).abs().sum()) <= 0.02
    assert float(engine.training.model.log_z.detach()) == pytest.approx(float(log_z), abs=0.02)
    if backward is learned and weight == 1.0:
        # fitted to the forward policy's own trajectories: importance weights are nearly equal
        assert _spread(engine.training.model) < 0.1 * untrained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "backward", "iterations", "batch"),
    [("1.0", "uniform", 1000, 256), ("1.0", "learned", 1000, 256), ("0.5", "uniform", 600, 128)],
)
def test_log_z_with_cells_is_that_of_quadrature(
    weight: str, backward: str, iterations: int, batch: int
) -> None:
    numbers = {"iterations": str(iterations), "batch": str(batch), "samples": "8", "seed": "0"}
    found = exactness_prior.lattice({"weight": weight, "backward": backward, **numbers})
    assert found["log_z_error"] == pytest.approx(0.0, abs=0.05)
    # the prior's density integrates to 1
    assert found["log_integral_of_prior"] == pytest.approx(0.0, abs=0.03)


def _spread(model: GFlowNet) -> float:
    """Mean variance of log P_F - log P_B over backward trajectories to objects of the policy."""
    terminal = sample_forward(model, 256, generator(1)).terminal
    return float(log_ratios(model, terminal, 32, generator(2)).var(dim=1).mean())


def test_weight_zero_is_trajectory_balance_bit_for_bit(tmp_path: Path) -> None:
    settings = {"iterations": 10, "replay_fraction": 0.25, "backward": learned}
    plain = make_engine(tmp_path / "plain", None, TrajectoryBalance(huber=5.0), **settings)
    prior = Prior(random_model(Hypergrid(2, 6)), 0.0)
    relative = make_engine(tmp_path / "relative", prior, RelativeTrajectoryBalance(huber=5.0), **settings)
    plain.train()
    relative.train()
    ours, theirs = relative.training.model.state_dict(), plain.training.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_log_z_starts_at_the_mean_log_reward_of_a_copy_of_the_prior(tmp_path: Path) -> None:
    settings = {"iterations": 1, "learning_rate_log_z": 1e-9, "exploration": 0.0}
    prior = Prior(random_model(Hypergrid(2, 6)))
    engine = make_engine(tmp_path, prior, RelativeTrajectoryBalance(), **settings)
    model = copy.deepcopy(prior.model).requires_grad_()
    adam = torch.optim.Adam(model.parameters(), lr=1e-9)
    engine.training.model, engine.training.optimizer = model, Optimizer(model, adam)
    engine.train()
    record = read_metrics(tmp_path / "metrics.jsonl")[0]
    assert record["log_z"] == pytest.approx(record["mean_log_reward"], abs=1e-5)
    assert record["kl_from_prior"] == pytest.approx(0.0, abs=1e-6)


def test_metrics_have_the_means_over_the_policys_own_trajectories(tmp_path: Path) -> None:
    prior = Prior(random_model(Hypergrid(2, 6)))
    settings = {"iterations": 2, "learning_rate": 1e-12, "batch_size": 4096, "exploration": 0.0}
    replay = {"replay_fraction": 0.5, "replay": ReplaySettings(capacity=1)}
    engine = make_engine(tmp_path, prior, RelativeTrajectoryBalance(), **settings, **replay)
    engine.train()
    first, second = read_metrics(tmp_path / "metrics.jsonl")
    drawn = sample_forward(engine.training.model, 40_000, generator(5))
    log_ratio = evaluate(engine.training.model, drawn)[0].detach() - evaluate(prior.model, drawn)[0]
    error = float(log_ratio.std()) / 2048**0.5
    # half of the second batch is one replayed object, which does not count
    for record in (first, second):
        assert record["kl_from_prior"] == pytest.approx(float(log_ratio.mean()), abs=5 * error)
    log_prior = prior.terms(drawn, generator()).log_prior
    error = float(log_prior.std()) / 2048**0.5
    assert second["mean_log_prior"] == pytest.approx(float(log_prior.mean()), abs=5 * error)


def test_the_prior_is_neither_trained_nor_saved_and_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def engine(name: str) -> Engine[SamplerTraining]:
        prior = Prior(random_model(Hypergrid(2, 6)), 0.5, n_samples=4)
        return make_engine(
            tmp_path / name, prior, RelativeTrajectoryBalance(), iterations=10, backward=learned
        )

    whole, first, second = engine("whole"), engine("parts"), engine("parts")
    assert whole.training.prior is not None
    before = copy.deepcopy(whole.training.prior.model.state_dict())
    whole.train()
    assert all(
        torch.equal(value, before[name]) for name, value in whole.training.prior.model.state_dict().items()
    )
    with pytest.raises(TrainingStopped):
        first.train(lambda: first.training.done == 3)
    checkpoint, _ = newest_checkpoint(tmp_path / "parts")
    assert checkpoint is not None
    second.restore(checkpoint)
    second.train()
    ends = [
        load_checkpoint(tmp_path / name / "checkpoints" / "step_00000010.safetensors").tensors
        for name in ("whole", "parts")
    ]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    plain = make_engine(tmp_path / "plain", None, TrajectoryBalance(), iterations=10, backward=learned)
    plain.train()
    without = load_checkpoint(tmp_path / "plain" / "checkpoints" / "step_00000010.safetensors").tensors
    assert ends[0].keys() == without.keys()


def test_objectives_and_priors_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    prior = Prior(random_model(Hypergrid(2, 6)))
    with pytest.raises(ConfigError, match="objective=relative_trajectory_balance"):
        make_engine(tmp_path, prior, TrajectoryBalance(), iterations=1)
    with pytest.raises(ConfigError, match="prior=default"):
        make_engine(tmp_path, None, RelativeTrajectoryBalance(), iterations=1)
    other = Prior(random_model(Hypergrid(2, 7)))
    with pytest.raises(ConfigError, match="other features"):
        make_engine(tmp_path, other, RelativeTrajectoryBalance(), iterations=1)


def test_the_prior_takes_the_masks_of_the_space_that_is_trained(tmp_path: Path) -> None:
    prior = Prior(random_model(Hypergrid(2, 6)))
    engine = make_engine(tmp_path, prior, RelativeTrajectoryBalance(), iterations=1)
    assert prior.model.env is engine.training.model.env


def test_the_model_cannot_be_its_own_prior(tmp_path: Path) -> None:
    model = random_model(Hypergrid(2, 6))
    settings, reward = TrainerSettings(iterations=1), Reward(GridCorners(6), LogValue())
    with pytest.raises(ConfigError, match="of its own"):
        SamplerTraining(model, reward, RelativeTrajectoryBalance(), settings, prior=Prior(model))
