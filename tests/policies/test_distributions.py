"""Heads: normalised over exactly the allowed actions, and drawn as they say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from gflownet_crystal.common.errors import ConfigError, PolicyError
from gflownet_crystal.envs.base import Jump, JumpSupport
from gflownet_crystal.policies.distributions import (
    ON_POLICY,
    Behaviour,
    CategoricalHead,
    JumpHead,
    check_usable,
)

F64 = torch.float64


def support(
    free: list[bool], log_width: float, allowed: bool = True, forced: bool = False, n: int = 1
) -> JumpSupport:
    columns = torch.tensor(free).repeat(n, 1)
    flags = torch.full((n,), allowed), torch.full((n,), forced)
    return JumpSupport(columns, *flags, torch.full(columns.shape, log_width, dtype=F64))


@given(st.integers(2, 40), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_categorical_is_normalised_over_the_mask(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(5, n, generator=generator) < 0.4
    mask[:, 0] = True
    logits = torch.randn(5, n, generator=generator) * 10
    head = CategoricalHead(n)
    every = torch.arange(n).repeat(5, 1)
    log_prob = torch.stack([head.log_prob(logits, mask, every[:, i]) for i in range(n)], dim=1)
    assert torch.equal(torch.isfinite(log_prob), mask)
    assert torch.allclose(log_prob.exp().sum(dim=1), torch.ones(5, dtype=F64), atol=1e-6)
    slow = [
        [float(row[i] - row[m].double().logsumexp(0)) for i in range(n)]
        for row, m in zip(logits, mask, strict=True)
    ]
    assert np.allclose(log_prob[mask], torch.tensor(slow)[mask], atol=1e-4)


def test_categorical_draws_follow_the_behaviour_and_never_leave_the_mask() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.tensor([0.0, 2.0, -30.0, 5.0, 1.0], dtype=F64)
    mask = torch.tensor([True, True, True, False, True])
    n, exploration, temperature = 200_000, 0.3, 2.0
    head, behaviour = CategoricalHead(5), Behaviour(exploration, temperature)
    drawn = head.sample(logits.repeat(n, 1), mask.repeat(n, 1), generator, behaviour)
    weights = torch.where(mask, (logits / temperature).exp(), 0.0)
    expected = (1 - exploration) * weights / weights.sum() + exploration * mask.double() / mask.sum()
    counts = torch.bincount(drawn, minlength=5)
    assert int(counts[3]) == 0
    assert stats.chisquare(counts[mask], (expected[mask] / expected[mask].sum() * n)).pvalue > 1e-3


def test_rare_actions_of_a_sharp_policy_are_drawn_only_if_allowed() -> None:
    generator = torch.Generator().manual_seed(4)
    mask = torch.zeros(10_000, 300, dtype=torch.bool)
    mask[:, 150] = True
    logits = torch.randn(10_000, 300, generator=generator) * 50
    assert bool((CategoricalHead(300).sample(logits, mask, generator, ON_POLICY) == 150).all())


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("free", [[True, False], [False, True]])
def test_jump_density_integrates_to_one(joint: bool, free: list[bool]) -> None:
    head = JumpHead(2, n_components=3, joint=joint)
    parameters = torch.randn(1, head.n_parameters, generator=torch.Generator().manual_seed(5)).abs()
    width = 0.37
    allowed = support(free, math.log(width))

    def density(fraction: float) -> float:
        jump = Jump(torch.tensor([False]), torch.logit(torch.full((1, 2), fraction, dtype=F64)))
        return float(head.log_prob(parameters, allowed, jump).exp()) * width

    moved = integrate.quad(density, 0.0, 1.0, limit=400, epsabs=1e-8)[0]
    flagged = float(
        head.log_prob(parameters, allowed, Jump(torch.tensor([True]), torch.zeros(1, 2, dtype=F64))).exp()
    )
    assert moved + flagged == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("joint", [True, False])
def test_jump_log_prob_is_the_slow_reference(joint: bool) -> None:
    generator = torch.Generator().manual_seed(6)
    head = JumpHead(3, n_components=4, joint=joint)
    parameters = torch.randn(20, head.n_parameters, generator=generator)
    allowed = support([True, False, True], -0.7, n=20)
    jump = Jump(torch.rand(20, generator=generator) < 0.3, torch.randn(20, 3, generator=generator, dtype=F64))
    fast = head.log_prob(parameters, allowed, jump)
    slow = [_slow_jump_log_prob(head, parameters[i].double().numpy(), jump[i : i + 1]) for i in range(20)]
    assert np.allclose(fast, slow, atol=1e-6)


def _slow_jump_log_prob(head: JumpHead, parameters: np.ndarray, jump: Jump) -> float:
    """The same mixture, one row, written out with scipy; dimensions 0 and 2 free, log-width -0.7."""
    d, k = head.dimensions, head.n_components
    p_flag = 1 / (1 + math.exp(-parameters[0]))
    if bool(jump.flag[0]):
        return math.log(p_flag)
    weights = parameters[1 : 1 + head.n_weights].reshape(-1, k)
    weights = np.exp(weights) / np.exp(weights).sum(axis=1, keepdims=True)
    mean = 1 / (1 + np.exp(-parameters[1 + head.n_weights : 1 + head.n_weights + d * k].reshape(d, k)))
    total = 2 * np.exp(parameters[1 + head.n_weights + d * k :].reshape(d, k))
    fraction = 1 / (1 + np.exp(-jump.log_odds[0].numpy()))

    def pdf(i: int, j: int) -> float:
        alpha, beta = (
            np.clip(x, head.low, head.high)
            for x in (mean[i, j] * total[i, j], (1 - mean[i, j]) * total[i, j])
        )
        return float(stats.beta(alpha, beta).pdf(fraction[i]) / math.exp(-0.7))

    if head.joint:
        density = sum(weights[0, j] * pdf(0, j) * pdf(2, j) for j in range(k))
    else:
        density = math.prod(sum(weights[i, j] * pdf(i, j) for j in range(k)) for i in (0, 2))
    return math.log(1 - p_flag) + math.log(density)


@pytest.mark.parametrize("joint", [True, False])
def test_jump_draws_have_the_density_they_claim(joint: bool) -> None:
    generator = torch.Generator().manual_seed(8)
    head, n = JumpHead(2, n_components=3, joint=joint), 100_000
    parameters = torch.randn(1, head.n_parameters, generator=generator)
    # concentrations above 2, so that the midpoint rule below meets no pole at the faces
    parameters[:, 1 + head.n_weights :].abs_()
    parameters[:, -2 * 3 :] += 3.0
    drawn = head.sample(parameters.repeat(n, 1), support([True, True], 0.0, n=n), generator, ON_POLICY)
    moved = torch.sigmoid(drawn.log_odds[~drawn.flag])
    edges = torch.linspace(0, 1, 5)
    counts = np.histogramdd(moved.numpy(), bins=[edges.numpy()] * 2)[0]
    expected = np.zeros((4, 4))
    for i, j in itertools.product(range(4), range(4)):
        # midpoint rule on a fine grid inside each bin
        axis = [edges[c] + (torch.arange(60, dtype=F64) + 0.5) / 240 for c in (i, j)]
        points = torch.cartesian_prod(*axis)
        jump = Jump(torch.zeros(len(points), dtype=torch.bool), torch.logit(points))
        many = support([True, True], 0.0, n=len(points))
        log_density = head.log_prob(parameters.repeat(len(points), 1), many, jump)
        expected[i, j] = float(log_density.exp().mean()) / 16 * n
    outcomes = [*counts.ravel(), n - len(moved)]
    probable = [*expected.ravel(), float(torch.sigmoid(parameters[0, 0])) * n]
    assert sum(probable) == pytest.approx(n, rel=1e-3)
    assert stats.chisquare(outcomes, np.array(probable) * n / sum(probable)).pvalue > 1e-4


def test_zeros_are_the_uniform_policy() -> None:
    head = JumpHead(2)
    jump = Jump(torch.tensor([False]), torch.tensor([[3.0, -2.0]], dtype=F64))
    log_prob = head.log_prob(torch.zeros(1, head.n_parameters), support([True, True], 0.0), jump)
    assert float(log_prob) == pytest.approx(math.log(0.5), abs=1e-9)


def test_forced_and_forbidden_flags() -> None:
    head = JumpHead(1)
    parameters = torch.randn(1, head.n_parameters, generator=torch.Generator().manual_seed(9))
    raised = Jump(torch.tensor([True]), torch.zeros(1, 1, dtype=F64))
    assert float(head.log_prob(parameters, support([True], 0.0, forced=True), raised)) == 0.0
    assert float(head.log_prob(parameters, support([True], 0.0, allowed=False), raised)) == -math.inf


@pytest.mark.parametrize("arguments", [{"exploration": 1.5}, {"exploration": -0.1}, {"temperature": 0.0}])
def test_behaviour_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Behaviour(**arguments)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("head", [CategoricalHead(4), JumpHead(2)])
def test_outputs_that_are_not_finite_draw_nothing(head: CategoricalHead | JumpHead, value: float) -> None:
    allowed = (
        torch.ones(3, 4, dtype=torch.bool)
        if isinstance(head, CategoricalHead)
        else support([True] * 2, 0.0, n=3)
    )
    parameters = torch.zeros(3, head.n_parameters)
    check_usable(head.usable(parameters, ON_POLICY))
    parameters[1, -1] = value
    with pytest.raises(PolicyError, match="not finite"):
        check_usable(head.usable(parameters, ON_POLICY))
    # until it is checked, draws stay possible
    drawn = head.sample(parameters, allowed, torch.Generator(), ON_POLICY)
    if isinstance(drawn, Jump):
        assert bool(drawn.log_odds.isfinite().all())
    else:
        assert bool(allowed.gather(1, drawn[:, None]).all())


def test_a_temperature_that_leaves_no_numbers_is_told() -> None:
    with pytest.raises(PolicyError, match="temperature"):
        check_usable(CategoricalHead.usable(torch.ones(1, 2), Behaviour(temperature=1e-320)))


def test_gradients_stay_finite_at_extreme_parameters() -> None:
    head = JumpHead(2)
    parameters = torch.full((1, head.n_parameters), 500.0, requires_grad=True)
    jump = Jump(torch.tensor([False]), torch.tensor([[40.0, -40.0]], dtype=F64))
    log_prob = head.log_prob(parameters, support([True, True], 0.0), jump)
    log_prob.sum().backward()
    assert parameters.grad is not None and bool(torch.isfinite(parameters.grad).all())


def test_a_mixture_that_fell_to_the_lower_limit_learns_again() -> None:
    head = JumpHead(1, n_components=2, concentration_range=(1.0, 1e4))
    parameters = torch.zeros(1, head.n_parameters)
    # all concentrations far below the limit: the head is uniform, whatever a small step changes
    parameters[:, -2:] = -4.0
    parameters.requires_grad_(True)
    fractions = torch.from_numpy(stats.beta(60.0, 20.0).ppf(np.linspace(0.01, 0.99, 64)))[:, None]
    jump = Jump(torch.zeros(64, dtype=torch.bool), torch.logit(fractions))
    where = support([True], 0.0, allowed=False, n=64)
    optimizer = torch.optim.Adam([parameters], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        loss = -head.log_prob(parameters.expand(64, -1), where, jump).mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < -stats.beta(60.0, 20.0).logpdf(fractions).mean() + 0.05
