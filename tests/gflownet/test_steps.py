"""Terms of trajectories state by state, against walks that follow one trajectory at a time."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.hypergrid import GridState, Hypergrid
from gflownet_crystal.gflownet.batch import cat_trajectories
from gflownet_crystal.gflownet.evaluated import Steps, Target
from gflownet_crystal.gflownet.log_probs import evaluate, evaluate_transitions, sum_by_row
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import Trajectories, sample_backward, sample_forward
from gflownet_crystal.gflownet.steps import in_order
from tests.gflownet.random_models import generator, random_policy

SPACES: dict[str, Env] = {
    "grid": Hypergrid(2, 5),
    "box": Box(2),
    "crystal": Crystal(["Na", "Cl"], [2, 62, 225], max_count=8, n_elements=[2, 2], n_atoms=[2, 16]),
}


def flow_model(env: Env) -> GFlowNet:
    model = GFlowNet(env, random_policy(60.0, 3), random_policy(20.0, 4), flow=random_policy(30.0, 5))
    with torch.no_grad():
        model.log_z_weights.fill_(0.1)
    return model


def both_ways(model: GFlowNet, n: int) -> Trajectories:
    forward = sample_forward(model, n, generator())
    return cat_trajectories([forward, sample_backward(model, forward.terminal, generator(1))])


def ordered(model: GFlowNet, trajectories: Trajectories, log_end: torch.Tensor) -> Steps:
    found = evaluate_transitions(model, trajectories)
    log_pb = sum_by_row(trajectories, found.backward)
    return in_order(model, trajectories, found.forward, Target(log_end, log_pb, found.backward))


@torch.no_grad()
@pytest.mark.parametrize("name", SPACES)
def test_their_sums_are_those_of_whole_trajectories(name: str) -> None:
    model = flow_model(SPACES[name])
    trajectories = both_ways(model, 12)
    log_end = torch.linspace(-2.0, 3.0, 24, dtype=torch.float64)
    steps = ordered(model, trajectories, log_end)
    log_pf, log_pb = evaluate(model, trajectories)
    assert torch.allclose(steps.log_pf.sum(dim=1), log_pf) and torch.allclose(
        steps.log_backward.sum(dim=1), log_pb
    )
    potential = steps.potential()
    # from the first to the last state the residual is that of trajectory balance
    residual = model.log_z + log_pf - log_end - log_pb
    assert torch.allclose(potential[:, 0] - potential[:, -1], residual)
    assert int(steps.length.sum()) == trajectories.n_transitions
    past = ~steps.is_state
    assert torch.equal(steps.log_flow[past], log_end[:, None].expand_as(past)[past])
    assert bool((steps.log_pf[past[:, 1:]] == 0.0).all())


@torch.no_grad()
def test_they_follow_a_walk_on_the_grid_state_by_state() -> None:
    model = flow_model(SPACES["grid"])
    grid = SPACES["grid"].stages[0]
    trajectories = both_ways(model, 8)
    steps = ordered(model, trajectories, torch.zeros(16, dtype=torch.float64))
    ends = model.env.objects(trajectories.terminal)
    part = trajectories.stages[0]
    for row in range(16):
        mine = part.row == row
        # on a grid, states are in the order of the sum of their coordinates, and the stop comes last
        order = (part.child.position.sum(dim=1) + part.child.stopped)[mine].argsort()
        position = part.parent.position[mine][order]
        assert torch.equal(position[-1], ends[row]) and int(position[0].sum()) == 0
        here = Context(1, ends.device)
        for place, cell in enumerate(position):
            state = GridState(cell[None], torch.tensor([False]))
            support = grid.forward_support(state, here)
            step = part.forward[mine][order][place, None]
            logits = model.forward_parameters(0, state, here)
            log_pf = model.forward_heads[0].log_prob(logits, support, step)
            assert float(steps.log_pf[row, place]) == pytest.approx(float(log_pf), abs=1e-5)
            flow = model.log_z if place == 0 else model.log_flow(0, state, here)
            assert float(steps.log_flow[row, place]) == pytest.approx(float(flow), abs=1e-5)
        assert int(steps.length[row]) == len(position)


@torch.no_grad()
def test_the_first_state_of_a_later_stage_lies_between_the_stages() -> None:
    model = flow_model(SPACES["crystal"])
    trajectories = both_ways(model, 6)
    counts = [torch.bincount(part.row, minlength=12) for part in trajectories.stages]
    steps = ordered(model, trajectories, torch.full((12,), math.pi, dtype=torch.float64))
    terminal, start = trajectories.terminal, torch.zeros(12, dtype=torch.int64)
    for index, stage in enumerate(model.env.stages):
        here = Context(12, terminal.device, terminal.states[:index])
        flow = model.log_flow(index, stage.source(here), here) if index else model.log_z.expand(12)
        assert torch.allclose(steps.log_flow[torch.arange(12), start], flow, atol=1e-5)
        start = start + counts[index]
    assert torch.equal(start, steps.length)
