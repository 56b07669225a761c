"""Objectives that see transitions: zero at balance, sums written out, and gradients by enumeration."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.evaluated import Evaluated, Steps
from gflownet_crystal.gflownet.flow_objectives import (
    DetailedBalance,
    FlowObjective,
    PolicyGradient,
    SubTrajectoryBalance,
)
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.policies import Behaviour
from tests.gflownet.random_models import generator
from tests.gflownet.test_steps import flow_model, ordered

F64 = torch.float64
LENGTH = torch.tensor([4, 1, 3])


def some_steps() -> Steps:
    """Three trajectories with random terms."""
    draw = torch.Generator().manual_seed(0)
    log_pf, log_pb = (-torch.rand(3, 4, generator=draw, dtype=F64) for _ in range(2))
    flow = torch.randn(3, 5, generator=draw, dtype=F64)
    past = torch.arange(5) > LENGTH[:, None]
    flow = torch.where(past, flow.gather(1, LENGTH[:, None]), flow)
    gone = past[:, 1:]
    return Steps(log_pf.masked_fill(gone, 0.0), log_pb.masked_fill(gone, 0.0), flow, LENGTH)


def residual(steps: Steps, row: int, first: int, last: int) -> float:
    """Of the part of a trajectory between two states, term by term."""
    total = float(steps.log_flow[row, first] - steps.log_flow[row, last])
    for place in range(first, last):
        total += float(steps.log_pf[row, place] - steps.log_backward[row, place])
    return total


@pytest.mark.parametrize(
    "objective",
    [DetailedBalance(), SubTrajectoryBalance(), SubTrajectoryBalance(2.0, huber=0.1), PolicyGradient(0.7)],
)
def test_all_vanish_at_balance(objective: FlowObjective) -> None:
    steps = some_steps()
    balanced = steps.log_flow[:, :-1] + steps.log_pf - steps.log_flow[:, 1:]
    loss = objective.of_steps(Steps(steps.log_pf, balanced, steps.log_flow, LENGTH))
    assert float(loss) == pytest.approx(0.0, abs=1e-12)


def test_detailed_balance_is_the_mean_over_transitions() -> None:
    steps = some_steps()
    squares = [residual(steps, row, i, i + 1) ** 2 for row in range(3) for i in range(int(LENGTH[row]))]
    assert len(squares) == 8
    assert float(DetailedBalance().of_steps(steps)) == pytest.approx(sum(squares) / 8)


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.0, 3.0])
def test_sub_trajectory_balance_is_the_weighted_mean_over_parts(factor: float) -> None:
    steps, rows = some_steps(), []
    for row, length in enumerate(LENGTH.tolist()):
        parts = [(i, j) for i in range(length) for j in range(i + 1, length + 1)]
        weights = [factor ** (j - i) for i, j in parts]
        total = sum(w * residual(steps, row, *part) ** 2 for w, part in zip(weights, parts, strict=True))
        rows.append(total / sum(weights))
    assert float(SubTrajectoryBalance(factor).of_steps(steps)) == pytest.approx(sum(rows) / 3)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0])
def test_the_policy_follows_generalised_advantages_and_the_flows_the_returns(factor: float) -> None:
    given = some_steps()
    log_pf, log_flow = (part.clone().requires_grad_() for part in (given.log_pf, given.log_flow))
    steps = Steps(log_pf, given.log_backward, log_flow, LENGTH)
    PolicyGradient(factor).of_steps(steps).backward()
    assert steps.log_pf.grad is not None and steps.log_flow.grad is not None
    for row, length in enumerate(LENGTH.tolist()):
        for place in range(length):
            parts = [residual(given, row, later, later + 1) for later in range(place, length)]
            advantage = sum(part * factor**ahead for ahead, part in enumerate(parts))
            assert float(steps.log_pf.grad[row, place]) == pytest.approx(advantage / 3)
            assert float(steps.log_flow.grad[row, place]) == pytest.approx(2.0 * advantage / 8)
    assert bool((steps.log_flow.grad[torch.arange(3), LENGTH] == 0.0).all())


def every_trajectory(model: GFlowNet) -> Steps:
    """All trajectories of a small grid, once each; found among many random ones."""
    drawn = sample_forward(model, 4000, generator(), Behaviour(1.0))
    cells = model.env.objects(drawn.terminal)
    steps = ordered(model, drawn, (0.5 * cells[:, 0] - 0.2 * cells[:, 1]).double())
    # with random weights, no two trajectories have the same probabilities
    key = torch.cat([steps.log_pf.detach(), steps.length[:, None]], dim=1).mul(1e6).round()
    _, inverse = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(key)).scatter_reduce_(
        0, inverse, torch.arange(len(key)), "amin"
    )
    return Steps(*(getattr(steps, field.name)[first] for field in fields(Steps)))


def gradient(loss: Tensor, model: GFlowNet) -> Tensor:
    found = torch.autograd.grad(loss, list(model.forward_policy.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in found])


def test_on_policy_the_gradients_are_those_of_the_divergence() -> None:
    model = flow_model(Hypergrid(2, 3))
    steps = every_trajectory(model)
    log_pf, log_end = steps.log_pf.sum(dim=1), steps.log_flow[:, -1]
    log_target = log_end + steps.log_backward.sum(dim=1).detach()
    probability = log_pf.exp()
    assert len(log_pf) == 19 and float(probability.detach().sum()) == pytest.approx(1.0, abs=1e-5)
    divergence = gradient((probability * (log_pf - log_target)).sum(), model)

    def expected(objective: PolicyGradient | TrajectoryBalance) -> Tensor:
        total = torch.zeros((), dtype=F64)
        for row in range(len(log_pf)):
            one = Steps(*(getattr(steps, field.name)[row, None] for field in fields(Steps)))
            batch = Evaluated(model.log_z, log_pf[row, None], log_target[row, None], 1, 0, one)
            total = total + probability[row].detach() * objective(batch)
        return gradient(total, model)

    assert torch.allclose(expected(PolicyGradient()), divergence, atol=1e-5)
    assert torch.allclose(expected(TrajectoryBalance()), 2.0 * divergence, atol=1e-5)
    assert float(divergence.norm()) > 0.1


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf, 11.0])
def test_the_weight_of_longer_parts_has_a_range(wrong: float) -> None:
    with pytest.raises(ConfigError, match="subtb_lambda"):
        SubTrajectoryBalance(wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_the_factor_of_advantages_has_a_range(wrong: float) -> None:
    with pytest.raises(ConfigError, match="gae_lambda"):
        PolicyGradient(wrong)


def test_trajectories_without_their_steps_are_refused() -> None:
    zeros = torch.zeros(2, dtype=F64)
    with pytest.raises(ConfigError, match="state by state"):
        DetailedBalance()(Evaluated(zeros[0], zeros, zeros, 2))
