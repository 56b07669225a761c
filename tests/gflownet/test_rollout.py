"""Rollouts on spaces that can be enumerated or integrated."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gflownet_crystal.common.errors import PolicyError
from gflownet_crystal.envs.base import Context, Env, Jump
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_backward, sample_forward, sample_terminal
from gflownet_crystal.policies import Behaviour, MixtureSettings, MLPPolicy
from gflownet_crystal.policies.base import StageShape


def model_of(env: Env, seed: int = 0) -> GFlowNet:
    """A small network whose outputs are far from uniform."""

    def policy(shapes: list[StageShape]) -> MLPPolicy:
        made = MLPPolicy(shapes, n_layers=1, n_hidden=16, seed=seed)
        with torch.no_grad():
            for network in made.networks:
                network[-1].weight.mul_(30.0)
        return made

    return GFlowNet(env, policy, policy, MixtureSettings(n_components=2))


def exact_log_p(model: GFlowNet, env: Hypergrid) -> dict[tuple[int, ...], float]:
    """log p(x) of each cell by a forward pass over the whole state graph in topological order."""
    d, length = env.grid.n_dimensions, env.grid.length
    flow = {(0,) * d: 1.0}
    terminal: dict[tuple[int, ...], float] = {}
    for cell in sorted(itertools.product(range(length), repeat=d), key=sum):
        state = env.encode(torch.tensor([cell]))[0].states[0]
        state = env.grid.step_back(state, torch.tensor([d]), Context(1, torch.device("cpu")))
        here = Context(1, torch.device("cpu"))
        mask = env.grid.forward_support(state, here)
        logits = model.forward_parameters(0, state, here).double().masked_fill(~mask, -math.inf)
        probability = logits.softmax(dim=1)[0].tolist()
        for i in range(d):
            if cell[i] + 1 < length:
                after = tuple(c + (j == i) for j, c in enumerate(cell))
                flow[after] = flow.get(after, 0.0) + flow[cell] * probability[i]
        terminal[cell] = flow[cell] * probability[d]
    return terminal


@pytest.mark.parametrize("env", [Hypergrid(2, 4), Box(2, 0.2)])
def test_no_trajectories_come_from_outputs_that_are_not_finite(env: Env) -> None:
    model = model_of(env)
    with torch.no_grad():
        next(model.forward_policy.parameters()).fill_(math.nan)
    with pytest.raises(PolicyError, match="not finite"):
        sample_terminal(model, 8, torch.Generator().manual_seed(0))


@torch.no_grad()
def test_forward_samples_follow_the_exact_distribution() -> None:
    env = Hypergrid(2, 4)
    model = model_of(env)
    exact = exact_log_p(model, env)
    n = 100_000
    cells = env.objects(sample_forward(model, n, torch.Generator().manual_seed(1)).terminal)
    counts = torch.bincount(cells[:, 0] * 4 + cells[:, 1], minlength=16).double() / n
    expected = torch.tensor([exact[i, j] for i in range(4) for j in range(4)], dtype=torch.float64)
    assert float(expected.sum()) == pytest.approx(1.0, abs=1e-6)
    assert float((counts - expected).abs().sum()) / 2 < 3 * math.sqrt(16 / n)


@torch.no_grad()
def test_backward_samples_estimate_the_exact_probability() -> None:
    env = Hypergrid(2, 4)
    model = model_of(env)
    exact = exact_log_p(model, env)
    k = 20_000
    for cell in [(0, 0), (2, 1), (3, 3)]:
        terminal, _ = env.encode(torch.tensor([cell]).repeat(k, 1))
        log_pf, log_pb = evaluate(model, sample_backward(model, terminal, torch.Generator().manual_seed(2)))
        assert float((log_pf - log_pb).exp().mean()) == pytest.approx(exact[cell], rel=0.05)


@torch.no_grad()
@pytest.mark.parametrize("env", [Hypergrid(3, 4), Box(2, 0.2)], ids=["grid", "box"])
def test_sampling_order_does_not_change_the_evaluation(env: Env) -> None:
    model = model_of(env)
    forward = sample_forward(model, 64, torch.Generator().manual_seed(3), Behaviour(exploration=0.5))
    log_pf, log_pb = evaluate(model, forward)
    total_pf, total_pb = torch.zeros(64, dtype=torch.float64), torch.zeros(64, dtype=torch.float64)
    part = forward.stages[0]
    context = env.empty_context(1, torch.device("cpu"))
    for t in range(len(part.row)):
        one = slice(t, t + 1)
        parameters = model.forward_parameters(0, part.parent[one], context)
        support = env.stages[0].forward_support(part.parent[one], context)
        total_pf[part.row[t]] += model.forward_heads[0].log_prob(parameters, support, part.forward[one])[0]
        parameters = model.backward_parameters(0, part.child[one], context)
        support = env.stages[0].backward_support(part.child[one], context)
        total_pb[part.row[t]] += model.backward_heads[0].log_prob(parameters, support, part.backward[one])[0]
    assert torch.allclose(log_pf, total_pf, atol=1e-5)
    assert torch.allclose(log_pb, total_pb, atol=1e-5)


@torch.no_grad()
def test_box_density_integrates_to_one() -> None:
    """p(x) by importance sampling at uniform points averages to the volume of the box."""
    env = Box(1, 0.3)
    model = model_of(env)
    points = torch.rand(400, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    points = (torch.arange(400, dtype=torch.float64)[:, None] + points) / 400
    k = 200
    terminal, _ = env.encode(points.repeat_interleave(k, dim=0))
    log_pf, log_pb = evaluate(model, sample_backward(model, terminal, torch.Generator().manual_seed(5)))
    weights = (log_pf - log_pb).exp().reshape(400, k)
    error = float(weights.mean(dim=1).std() / math.sqrt(400))
    assert float(weights.mean()) == pytest.approx(1.0, abs=0.02 + 3 * error / math.sqrt(k))


def test_jumps_retrace_each_other() -> None:
    env = Box(3, 0.15)
    model = model_of(env)
    part = sample_forward(model, 500, torch.Generator().manual_seed(6)).stages[0]
    context = env.empty_context(len(part.row), torch.device("cpu"))
    again = env.box.step(part.parent, env.box.forward_action(part.parent, part.child, context), context)
    back = env.box.step_back(part.child, part.backward, context)
    assert torch.allclose(again.position, part.child.position, atol=1e-9)
    assert torch.allclose(back.position, part.parent.position, atol=1e-9)
    assert torch.equal(back.started, part.parent.started) and torch.equal(back.stopped, part.parent.stopped)
    moves = (part.child.position - part.parent.position)[part.parent.started & ~part.child.stopped]
    assert float(moves.min()) >= 0.15 - 1e-12
    assert isinstance(part.forward, Jump)


@torch.no_grad()
def test_finished_rows_are_not_computed() -> None:
    env = Hypergrid(2, 6)
    model = model_of(env)
    trajectories = sample_forward(model, 300, torch.Generator().manual_seed(7))
    length = torch.bincount(trajectories.stages[0].row, minlength=300)
    cells = env.objects(trajectories.terminal)
    assert torch.equal(length, cells.sum(dim=1) + 1)
    assert trajectories.n_transitions == int(length.sum())


def test_sampling_without_records_draws_the_same_objects() -> None:
    env = Box(2, 0.2)
    model = model_of(env)
    recorded = sample_forward(model, 50, torch.Generator().manual_seed(8)).terminal
    bare = sample_terminal(model, 50, torch.Generator().manual_seed(8))
    assert torch.equal(env.objects(recorded), env.objects(bare))
