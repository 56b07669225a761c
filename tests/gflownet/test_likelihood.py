"""Importance-sampled probabilities against those computed by dynamic programming over the whole grid."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.hypergrid import GridState, Hypergrid
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.likelihood import log_prob, log_ratios, negative_elbo
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_backward
from gflownet_crystal.policies import MLPPolicy, UniformPolicy


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


def test_one_trajectory_bounds_the_log_probability_and_its_mean_is_the_bound() -> None:
    env = Hypergrid(2, 5)
    model = random_model(env)
    terminal, _ = env.encode(env.cells())
    exact = exact_log_prob(model, env)
    ratios = log_ratios(model, terminal, 400, torch.Generator().manual_seed(2), batch_size=10_000)
    rows = torch.arange(terminal.n).repeat_interleave(400)
    trajectories = sample_backward(model, terminal[rows], torch.Generator().manual_seed(2))
    loss = negative_elbo(model, trajectories).detach().reshape(-1, 400)
    # the same draws, so the same ratios
    assert torch.allclose(-loss, ratios, atol=1e-5)
    error = loss.std(dim=1) / 400**0.5
    assert bool((loss.mean(dim=1) >= -exact - 4.0 * error - 1e-5).all())
    assert torch.allclose(ratios.exp().mean(dim=1).log(), exact, atol=0.2)


class Measured(Hypergrid):
    """With a reference measure of density 2 everywhere."""

    def log_reference(self, terminal: Context) -> torch.Tensor:
        return torch.full((terminal.n,), 2.0, dtype=torch.float64).log()


def test_the_bound_is_of_the_density_by_the_reference_measure_and_trains_the_forward_policy_only() -> None:
    env = Measured(1, 5)
    model = random_model(env)
    terminal, _ = env.encode(env.cells())
    trajectories = sample_backward(model, terminal, torch.Generator().manual_seed(2))
    loss = negative_elbo(model, trajectories)
    # every cell of a line has one trajectory: the bound is tight, as the estimate is exact
    estimate = log_prob(model, terminal, 2, torch.Generator().manual_seed(1)).log_prob
    assert torch.allclose(-loss.detach(), estimate, atol=1e-6)
    assert float((loss.detach().neg() + torch.tensor(2.0).log()).exp().sum()) == pytest.approx(1.0, abs=1e-5)
    # on a plane grid the backward policy has a choice
    plane = Hypergrid(2, 5)
    model = random_model(plane)
    terminal, _ = plane.encode(plane.cells())
    negative_elbo(model, sample_backward(model, terminal, torch.Generator().manual_seed(2))).sum().backward()
    assert all(p.grad is None for p in model.backward_policy.parameters())
    assert all(p.grad is not None for p in model.forward_policy.parameters())


def test_maximum_likelihood_reaches_the_distribution_of_the_data() -> None:
    env = Hypergrid(2, 5)
    model = GFlowNet(env, lambda s: MLPPolicy(s, 2, 32, seed=0), UniformPolicy)
    generator = torch.Generator().manual_seed(0)
    terminal, _ = env.encode(env.cells())
    log_data = torch.log_softmax(2.0 * torch.randn(25, generator=generator, dtype=torch.float64), dim=0)
    adam = torch.optim.Adam(model.forward_policy.parameters(), lr=1e-2)
    for _ in range(150):
        rows = torch.multinomial(log_data.exp(), 256, replacement=True, generator=generator)
        loss = negative_elbo(model, sample_backward(model, terminal[rows], generator)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    reached, probability = terminal_distribution(model)
    cells = env.objects(reached)
    made = torch.zeros(25, dtype=torch.float64).index_put((cells[:, 0] * 5 + cells[:, 1],), probability)
    assert float((log_data.exp() * (log_data + 3.2189)).sum()) > 0.5
    # 25 cells and some 10,000 remembered draws leave about 25 / 20,000 nats of noise
    assert float((log_data.exp() * (log_data - made.log())).sum()) < 0.02
