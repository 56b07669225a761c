"""The target density with a prior: closed forms, and exact sums over small spaces."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.evaluated import Evaluated
from gflownet_crystal.gflownet.likelihood import log_ratios
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import (
    RelativeTrajectoryBalance,
)
from gflownet_crystal.gflownet.prior import Prior, PriorTerms, log_mean
from gflownet_crystal.gflownet.rollout import draw_backward, sample_backward, sample_forward
from gflownet_crystal.policies import Behaviour
from tests.gflownet.random_models import exact_log_prob, generator, random_model

F64 = torch.float64


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
    terms = prior.terms(trajectories, generator())
    log_target = prior.target(terms, log_pb, log_reward, reference).log_density
    loss = RelativeTrajectoryBalance()(Evaluated(torch.tensor(1.3, dtype=F64), log_pf, log_target, 64))
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
    reference = env.log_reference(trajectories.terminal)
    found = prior.target(terms, log_pb, log_reward, reference).log_density
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
        return draw_backward(model, terminal, *further)

    monkeypatch.setattr("gflownet_crystal.gflownet.likelihood.draw_backward", counted)
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
