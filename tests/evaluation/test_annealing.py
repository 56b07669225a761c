"""Sequential Monte Carlo on targets that can be enumerated or integrated."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.evaluation.agreement import count_variation, wasserstein
from gflownet_crystal.evaluation.annealing import Move, Proposal, anneal, score, systematic_resample, walk
from gflownet_crystal.proxies import Boltzmann, LogValue, Reward
from gflownet_crystal.proxies.toy import BoxCorners, GridCorners


def redraw_cell(length: int) -> Move:
    """One coordinate of each cell drawn afresh; a value beyond the grid is outside."""

    def move(cells: Tensor, generator: torch.Generator) -> Proposal:
        rows = torch.arange(len(cells))
        dimension = torch.randint(cells.shape[1], (len(cells),), generator=generator)
        proposed = cells.clone()
        proposed[rows, dimension] = torch.randint(length + 1, (len(cells),), generator=generator)
        return Proposal(
            proposed, (proposed < length).all(dim=1), torch.zeros(len(cells), dtype=torch.float64)
        )

    return move


def skewed_step(points: Tensor, generator: torch.Generator) -> Proposal:
    """Multiplies a coordinate by a log-normal factor: not symmetric in the coordinate, so the ratio matters."""
    factor = (0.5 * torch.randn(points.shape, generator=generator, dtype=torch.float64)).exp()
    proposed = points * factor
    return Proposal(proposed, (proposed < 1.0).all(dim=1), factor.log().sum(dim=1))


def test_hypergrid_reaches_its_distribution_and_partition_function() -> None:
    env = Hypergrid(3, 8)
    reward = Reward(GridCorners(8, r0=0.001), LogValue())
    start = torch.zeros(20_000, 3, dtype=torch.int64)
    found = anneal(start, reward, [redraw_cell(8)], torch.Generator().manual_seed(0), 3, 40, 10)
    weights = reward(env.cells()).log_reward.exp()
    exact = torch.multinomial(weights, 20_000, True, generator=torch.Generator().manual_seed(1))
    index = (found.particles.objects * torch.tensor([64, 8, 1])).sum(dim=1)
    distance, noise = count_variation(index, exact, 512)
    assert distance < 1.3 * noise
    assert found.log_mean_reward == pytest.approx(float(weights.mean().log()), abs=0.05)
    assert found.exponents[-1] == 1.0 and list(found.exponents) == sorted(found.exponents)


def test_box_reaches_its_integral_with_a_move_that_is_not_symmetric() -> None:
    proxy = BoxCorners(2, width=0.04)
    reward = Reward(proxy, LogValue())
    generator = torch.Generator().manual_seed(2)
    start = torch.rand(8000, 2, generator=generator, dtype=torch.float64)
    found = anneal(start, reward, [skewed_step], generator, sweeps=4, first_sweeps=10, last_sweeps=10)
    assert found.log_mean_reward == pytest.approx(proxy.log_integral(), abs=0.05)
    # the bumps are symmetric about the middle of the box
    assert float((found.particles.objects[:, 0] < 0.5).double().mean()) == pytest.approx(0.5, abs=0.04)
    near = found.particles.objects[(found.particles.objects - 0.25).abs().amax(dim=1) < 0.12]
    assert float(near.std(dim=0).mean()) == pytest.approx(0.04, rel=0.08)


def test_walk_keeps_a_tempered_target() -> None:
    class Height(GridCorners):
        def predict(self, batch: Tensor) -> Tensor:
            return batch.double().sum(dim=1)

    reward = Reward(Height(5), Boltzmann(2.0))
    generator = torch.Generator().manual_seed(3)
    particles = score(torch.randint(5, (20_000, 1), generator=generator), reward)
    particles, acceptance = walk(particles, reward, [redraw_cell(5)], generator, exponent=0.5, sweeps=30)
    exact = torch.exp(-torch.arange(5.0, dtype=torch.float64))
    sample = torch.multinomial(exact, 20_000, True, generator=generator)
    assert wasserstein(particles.value, sample.double()) < 0.03
    assert 0.0 < acceptance[0] < 1.0


def test_resampling_copies_in_proportion() -> None:
    log_weight = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64).repeat(4).log()
    rows = systematic_resample(log_weight, torch.Generator().manual_seed(4))
    copies = torch.bincount(rows, minlength=16).double()
    assert bool(((copies - 4.0 * log_weight.exp()).abs() < 1.0 + 1e-9).all())
    assert math.isclose(float(copies.sum()), 16.0)
