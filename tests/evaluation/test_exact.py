"""The exact distribution of a sampler, against a sum over all its trajectories and against its samples."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import GridState, Hypergrid
from gflownet_crystal.evaluation.exact import row_hash, terminal_distribution
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies import MLPPolicy
from gflownet_crystal.policies.base import Policy, StageShape

CPU = torch.device("cpu")


def far_from_uniform(shapes: list[StageShape]) -> Policy:
    made = MLPPolicy(shapes, n_layers=1, n_hidden=16)
    with torch.no_grad():
        for network in made.networks:
            network[-1].weight.mul_(50.0)
    return made


def by_recursion(
    model: GFlowNet, state: GridState, probability: float, found: dict[tuple[int, ...], float]
) -> None:
    """Follows every single trajectory."""
    stage, here = model.env.stages[0], Context(1, CPU)
    if bool(state.stopped):
        cell = tuple(state.position[0].tolist())
        found[cell] = found.get(cell, 0.0) + probability
        return
    mask = stage.forward_support(state, here)
    logits = model.forward_parameters(0, state, here).double().masked_fill(~mask, -math.inf)
    for action, p in enumerate(logits.softmax(dim=1)[0].tolist()):
        if p > 0.0:
            by_recursion(model, stage.step(state, torch.tensor([action]), here), probability * p, found)


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_mass_is_summed_over_all_trajectories(batch_size: int) -> None:
    env = Hypergrid(2, 4)
    model = GFlowNet(env, far_from_uniform, far_from_uniform)
    expected: dict[tuple[int, ...], float] = {}
    by_recursion(model, env.grid.source(Context(1, CPU)), 1.0, expected)
    terminal, probability = terminal_distribution(model, batch_size)
    cells = [tuple(cell) for cell in env.objects(terminal).tolist()]
    assert len(cells) == len(set(cells)) == 16
    assert dict(zip(cells, probability.tolist(), strict=True)) == pytest.approx(expected, abs=1e-6)


def test_continuous_stages_are_refused() -> None:
    with pytest.raises(ConfigError, match="box"):
        terminal_distribution(GFlowNet(Box(1), far_from_uniform, far_from_uniform))


def test_hash_separates_and_joins_rows() -> None:
    grid = torch.cartesian_prod(*[torch.arange(-8, 8)] * 4)
    flags = grid[:, :1] > 0
    assert len(torch.unique(row_hash([grid, flags]))) == len(grid)
    assert torch.equal(row_hash([grid, flags]), row_hash([grid.clone(), flags.clone()]))
    with pytest.raises(ConfigError):
        row_hash([grid.double()])
