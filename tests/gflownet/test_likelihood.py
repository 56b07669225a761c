"""Importance-sampled probabilities against those computed by dynamic programming over the whole grid."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.hypergrid import GridState, Hypergrid
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies import MLPPolicy


def random_model(env: Hypergrid) -> GFlowNet:
    model = GFlowNet(env, lambda s: MLPPolicy(s, 1, 16, seed=3), lambda s: MLPPolicy(s, 1, 16, seed=4))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@torch.no_grad()
def exact_log_prob(model: GFlowNet, env: Hypergrid) -> torch.Tensor:
    """Log-probability of each cell of a two-dimensional grid, by flowing probability from the origin."""
    length = env.grid.length
    cells = env.cells()
    state = GridState(cells, torch.zeros(len(cells), dtype=torch.bool))
    context = Context(len(cells), cells.device)
    mask = env.grid.forward_support(state, context)
    logits = model.forward_parameters(0, state, context).double().masked_fill(~mask, float("-inf"))
    step = torch.softmax(logits, dim=1).reshape(length, length, 3)
    reach = torch.zeros(length, length, dtype=torch.float64)
    reach[0, 0] = 1.0
    for x in range(length):
        for y in range(length):
            if x > 0:
                reach[x, y] += reach[x - 1, y] * step[x - 1, y, 0]
            if y > 0:
                reach[x, y] += reach[x, y - 1] * step[x, y - 1, 1]
    return (reach * step[..., 2]).log().reshape(-1)


def test_estimates_agree_with_enumeration_within_their_errors() -> None:
    env = Hypergrid(2, 5)
    model = random_model(env)
    terminal, _ = env.encode(env.cells())
    estimate = log_prob(model, terminal, 400, torch.Generator().manual_seed(2), batch_size=3000)
    exact = exact_log_prob(model, env)
    assert float(exact.exp().sum()) == pytest.approx(1.0)
    deviation = estimate.log_prob - exact
    certain = estimate.std_error < 1e-12
    # cells with one trajectory only are known exactly
    assert int(certain.sum()) == 2 * 5 - 1
    assert float(deviation[certain].abs().max()) < 1e-6
    pull = deviation[~certain] / estimate.std_error[~certain]
    assert float(pull.abs().max()) < 5.0
    assert 0.5 < float(pull.square().mean().sqrt()) < 1.6


def test_batches_do_not_change_the_order() -> None:
    env = Hypergrid(2, 4)
    model = random_model(env)
    terminal, _ = env.encode(env.cells())
    small = log_prob(model, terminal, 300, torch.Generator().manual_seed(2), batch_size=1)
    exact = exact_log_prob(model, env)
    assert bool(((small.log_prob - exact).abs() <= 6.0 * small.std_error + 1e-6).all())


def test_one_trajectory_has_no_error_estimate() -> None:
    env = Hypergrid(2, 4)
    terminal, _ = env.encode(env.cells())
    with pytest.raises(ConfigError, match="at least 2"):
        log_prob(random_model(env), terminal, 1, torch.Generator())
