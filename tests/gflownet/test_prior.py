"""A prior in the target: closed forms, exact sums over small spaces, and trainings that reach prior(x)^w R(x) / Z."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.checkpoint import TrainingStopped, load_checkpoint, newest_checkpoint
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.likelihood import log_ratios
from gflownet_crystal.gflownet.model import GFlowNet, PolicyFactory
from gflownet_crystal.gflownet.objectives import (
    LogVariance,
    Objective,
    RelativeTrajectoryBalance,
    TrajectoryBalance,
)
from gflownet_crystal.gflownet.prior import Prior, PriorTerms, log_mean
from gflownet_crystal.gflownet.rollout import evaluate, sample_backward, sample_forward
from gflownet_crystal.gflownet.settings import ReplaySettings, TrainerSettings
from gflownet_crystal.gflownet.trainer import Trainer
from gflownet_crystal.policies import Behaviour, MLPPolicy, UniformPolicy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import GridCorners

F64 = torch.float64


def random_policy(size: float, seed: int) -> PolicyFactory:
    """Random weights, those of the last layer ``size`` times as large as at the start of a training."""

    def make(shapes: Any) -> MLPPolicy:
        made = MLPPolicy(shapes, n_layers=1, n_hidden=16, seed=seed)
        with torch.no_grad():
            for network in made.networks:
                network[-1].weight.mul_(size)
        return made

    return make


def random_model(env: Env, seed: int = 3) -> GFlowNet:
    return GFlowNet(env, random_policy(60.0, seed), random_policy(20.0, seed + 1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exact_log_prob(model: GFlowNet, length: int) -> Tensor:
    """(length^2,) log-probability of each cell of a plane grid, summed over all trajectories."""
    terminal, probability = terminal_distribution(model)
    cells = model.env.objects(terminal)
    table = torch.full((length * length,), -math.inf, dtype=F64)
    return table.index_put((cells[:, 0] * length + cells[:, 1],), probability.log())


# --- the target density -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [Hypergrid(2, 5), Box(2)], ids=["grid", "box"])
@pytest.mark.parametrize("way", ["forward", "exploring", "backward"])
def test_a_copy_of_the_prior_is_balanced_on_any_trajectory_where_the_reward_is_constant(
    env: Env, way: str
) -> None:
    model = random_model(env)
    prior = Prior(copy.deepcopy(model))
    trajectories = sample_forward(model, 64, generator(), Behaviour(0.5 if way == "exploring" else 0.0, 1.5))
    if way == "backward":
        trajectories = sample_backward(model, trajectories.terminal, generator(1))
    log_pf, log_pb = evaluate(model, trajectories)
    log_reward = torch.full((64,), 1.3, dtype=F64)
    reference = env.log_reference(trajectories.terminal)
    log_target = prior.log_target(prior.terms(trajectories, generator()), log_pb, log_reward, reference)
    loss = RelativeTrajectoryBalance()(torch.tensor(1.3, dtype=F64), log_pf, log_target)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-12)
    assert not log_target.requires_grad


class MeasuredLine(Hypergrid):
    """A row of cells, each reached by one trajectory, with a reference measure that falls along it."""

    def log_reference(self, terminal: Context) -> Tensor:
        return -0.3 * self.objects(terminal)[:, 0].double()


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 2.0])
def test_all_weights_have_the_closed_form_where_an_object_has_one_trajectory(weight: float) -> None:
    env = MeasuredLine(1, 6)
    model, prior = random_model(env, seed=8), Prior(random_model(env), weight, n_samples=2)
    trajectories = sample_forward(model, 32, generator())
    _, log_pb = evaluate(model, trajectories)
    assert bool((log_pb == 0.0).all())
    terms = prior.terms(trajectories, generator())
    log_pf_prior, _ = evaluate(prior.model, trajectories)
    reference = -0.3 * env.objects(trajectories.terminal)[:, 0].double()
    log_reward = torch.linspace(-1.0, 1.0, 32, dtype=F64)
    # prior(x) and R(x) are densities by the reference measure; the target is one by the counting measure of the stages
    expected = log_reward + reference + weight * (log_pf_prior - reference)
    found = prior.log_target(terms, log_pb, log_reward, env.log_reference(trajectories.terminal))
    assert torch.allclose(found.detach(), expected, atol=1e-9)
    assert torch.allclose(terms.log_prior, log_pf_prior - reference, atol=1e-9)


def test_the_density_of_objects_agrees_with_the_sum_over_trajectories() -> None:
    env = Hypergrid(2, 5)
    prior = Prior(random_model(env), 0.5, n_samples=2000, batch_size=4096)
    terminal, _ = env.encode(env.cells())
    trajectories = sample_backward(prior.model, terminal, generator())
    found = prior.terms(trajectories, generator(1)).log_prior
    error = log_ratios(prior.model, terminal, 2000, generator(2)).exp()
    error = error.std(dim=1) / error.mean(dim=1) / 2000**0.5
    deviation = (found - exact_log_prob(prior.model, 5)).abs()
    assert bool((deviation <= 5.0 * error + 1e-5).all())


def test_chunks_have_the_size_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    env = Hypergrid(2, 5)
    prior = Prior(random_model(env), 0.5, n_samples=8, batch_size=40)
    trajectories = sample_forward(prior.model, 33, generator())
    seen: list[int] = []

    def counted(model: GFlowNet, terminal: Context, *further: Any) -> Any:
        seen.append(terminal.n)
        return sample_backward(model, terminal, *further)

    monkeypatch.setattr("gflownet_crystal.gflownet.likelihood.sample_backward", counted)
    assert prior.terms(trajectories, generator()).log_prior.shape == (33,)
    assert sum(seen) == 33 * 8 and max(seen) == 40


def test_the_logarithm_of_a_mean_is_nearly_unbiased() -> None:
    # log-normal draws: the logarithm of the mean is sigma^2 / 2, that of 16 draws lies (e^(sigma^2) - 1) / 32 below
    sigma, n_draws = 0.7, 16
    draws = sigma * torch.randn(200_000, n_draws, generator=generator(), dtype=F64)
    plain = float((torch.logsumexp(draws, dim=1) - math.log(n_draws)).mean()) - sigma**2 / 2
    assert plain == pytest.approx(-(math.exp(sigma**2) - 1) / (2 * n_draws), rel=0.15)
    assert abs(float(log_mean(draws).mean()) - sigma**2 / 2) < 0.25 * abs(plain)


def test_the_logarithm_of_a_mean_is_exact_for_equal_draws_and_finite_for_wild_ones() -> None:
    equal = torch.full((3, 5), -700.0, dtype=F64)
    assert torch.allclose(log_mean(equal), torch.full((3,), -700.0, dtype=F64))
    wild = torch.tensor([[0.0, -1e4, -2e4]], dtype=F64)
    # one draw that outweighs all others adds at most a half
    assert float(log_mean(wild)[0]) == pytest.approx(-math.log(3.0) + 0.5)


# --- training -----------------------------------------------------------------------------------------------------


def make_trainer(
    folder: Path,
    prior: Prior | None,
    objective: Objective,
    length: int = 6,
    backward: PolicyFactory = UniformPolicy,
    **settings: Any,
) -> Trainer:
    env = Hypergrid(2, length)
    model = GFlowNet(env, lambda shapes: MLPPolicy(shapes, 2, 32, seed=0), backward)
    chosen = TrainerSettings(**{"batch_size": 32, "checkpoint_every": 5, "exploration": 0.2} | settings)
    reward = Reward(GridCorners(length), LogValue())
    return Trainer(model, reward, objective, chosen, folder, quiet=True, prior=prior)


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
    trainer = make_trainer(tmp_path, prior, objective, 5, backward=backward, **settings)
    untrained = _spread(trainer.model)
    trainer.train()
    if trainer.optimizer.average is not None:
        trainer.model.load_state_dict(trainer.optimizer.average, strict=False)
    log_prior = exact_log_prob(prior.model, 5)
    log_mass = GridCorners(5)(Hypergrid(2, 5).cells()).value.log() + weight * log_prior
    log_z = torch.logsumexp(log_mass, dim=0)
    made, target = exact_log_prob(trainer.model, 5).exp(), (log_mass - log_z).exp()
    assert 0.5 * float((log_prior.exp() - target).abs().sum()) > 0.1
    assert 0.5 * float((made - target).abs().sum()) <= 0.02
    assert float(trainer.model.log_z.detach()) == pytest.approx(float(log_z), abs=0.02)
    if backward is learned and weight == 1.0:
        # fitted to the forward policy's own trajectories: importance weights are nearly equal
        assert _spread(trainer.model) < 0.1 * untrained


def _spread(model: GFlowNet) -> float:
    """Mean variance of log P_F - log P_B over backward trajectories to objects of the policy."""
    terminal = sample_forward(model, 256, generator(1)).terminal
    return float(log_ratios(model, terminal, 32, generator(2)).var(dim=1).mean())


def test_weight_zero_is_trajectory_balance_to_the_bit(tmp_path: Path) -> None:
    settings = {"iterations": 10, "replay_fraction": 0.25, "backward": learned}
    plain = make_trainer(tmp_path / "plain", None, TrajectoryBalance(huber=5.0), **settings)
    prior = Prior(random_model(Hypergrid(2, 6)), 0.0)
    relative = make_trainer(tmp_path / "relative", prior, RelativeTrajectoryBalance(huber=5.0), **settings)
    plain.train()
    relative.train()
    ours, theirs = relative.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_log_z_starts_at_the_mean_log_reward_of_a_copy_of_the_prior(tmp_path: Path) -> None:
    settings = {"iterations": 1, "learning_rate_log_z": 1e-9, "exploration": 0.0}
    prior = Prior(random_model(Hypergrid(2, 6)))
    trainer = make_trainer(tmp_path, prior, RelativeTrajectoryBalance(), **settings)
    trainer.model = copy.deepcopy(prior.model).requires_grad_()
    trainer.optimizer = type(trainer.optimizer)(trainer.model, trainer.settings)
    trainer.train()
    record = read_metrics(tmp_path / "metrics.jsonl")[0]
    assert record["log_z"] == pytest.approx(record["mean_log_reward"], abs=1e-5)
    assert record["kl_from_prior"] == pytest.approx(0.0, abs=1e-6)


def test_metrics_have_the_means_over_the_policys_own_trajectories(tmp_path: Path) -> None:
    prior = Prior(random_model(Hypergrid(2, 6)))
    settings = {"iterations": 2, "learning_rate": 1e-12, "batch_size": 4096, "exploration": 0.0}
    replay = {"replay_fraction": 0.5, "replay": ReplaySettings(capacity=1)}
    trainer = make_trainer(tmp_path, prior, RelativeTrajectoryBalance(), **settings, **replay)
    trainer.train()
    first, second = read_metrics(tmp_path / "metrics.jsonl")
    drawn = sample_forward(trainer.model, 40_000, generator(5))
    log_ratio = evaluate(trainer.model, drawn)[0].detach() - evaluate(prior.model, drawn)[0]
    error = float(log_ratio.std()) / 2048**0.5
    # half of the second batch is one replayed object, which does not count
    for record in (first, second):
        assert record["kl_from_prior"] == pytest.approx(float(log_ratio.mean()), abs=5 * error)
    log_prior = prior.terms(drawn, generator()).log_prior
    error = float(log_prior.std()) / 2048**0.5
    assert second["mean_log_prior"] == pytest.approx(float(log_prior.mean()), abs=5 * error)


def test_the_prior_is_neither_trained_nor_saved_and_a_stopped_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    def trainer(name: str) -> Trainer:
        prior = Prior(random_model(Hypergrid(2, 6)), 0.5, n_samples=4)
        return make_trainer(
            tmp_path / name, prior, RelativeTrajectoryBalance(), iterations=10, backward=learned
        )

    whole, first, second = trainer("whole"), trainer("parts"), trainer("parts")
    assert whole.prior is not None
    before = copy.deepcopy(whole.prior.model.state_dict())
    whole.train()
    assert all(torch.equal(value, before[name]) for name, value in whole.prior.model.state_dict().items())
    with pytest.raises(TrainingStopped):
        first.train(lambda: first.iteration == 3)
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
    plain = make_trainer(tmp_path / "plain", None, TrajectoryBalance(), iterations=10, backward=learned)
    plain.train()
    without = load_checkpoint(tmp_path / "plain" / "checkpoints" / "step_00000010.safetensors").tensors
    assert ends[0].keys() == without.keys()


# --- refusals -----------------------------------------------------------------------------------------------------


def test_objectives_and_priors_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    prior = Prior(random_model(Hypergrid(2, 6)))
    with pytest.raises(ConfigError, match="objective=relative_trajectory_balance"):
        make_trainer(tmp_path, prior, TrajectoryBalance(), iterations=1)
    with pytest.raises(ConfigError, match="prior=default"):
        make_trainer(tmp_path, None, RelativeTrajectoryBalance(), iterations=1)
    other = Prior(random_model(Hypergrid(2, 7)))
    with pytest.raises(ConfigError, match="other features"):
        make_trainer(tmp_path, other, RelativeTrajectoryBalance(), iterations=1)


def test_the_model_cannot_be_its_own_prior(tmp_path: Path) -> None:
    model = random_model(Hypergrid(2, 6))
    settings, reward = TrainerSettings(iterations=1), Reward(GridCorners(6), LogValue())
    with pytest.raises(ConfigError, match="of its own"):
        Trainer(model, reward, RelativeTrajectoryBalance(), settings, tmp_path, prior=Prior(model))


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf])
def test_weights_that_are_negative_or_not_finite_are_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"prior\.weight"):
        Prior(random_model(Hypergrid(2, 4)), weight)


@pytest.mark.parametrize("wrong", [{"n_samples": 1}, {"batch_size": 0}])
def test_numbers_that_are_too_small_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        Prior(random_model(Hypergrid(2, 4)), **wrong)


def test_a_prior_is_frozen() -> None:
    prior = Prior(random_model(Box(1)).train())
    assert not prior.model.training and not any(p.requires_grad for p in prior.model.parameters())
    terms = prior.terms(sample_forward(prior.model, 3, generator()), generator())
    assert isinstance(terms, PriorTerms) and not terms.log_pf.requires_grad
