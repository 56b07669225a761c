"""Diffusion on the torus, against brute force over images, Bayes on a grid, and laws that are known."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from gflownet_crystal.models.gemsdiff.noise_schedules import VarianceExploding
from gflownet_crystal.models.gemsdiff.recipes import RECIPES, PaperRecipe
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.models.gemsdiff.torus_diffusion import (
    TorusDiffusion,
    mean_path,
    path_scale,
    shortest_path,
    wrapped,
)

SAMPLES = 10_000


def density(difference: Tensor, variance: float) -> Tensor:
    """Of a wrapped normal, by a long sum."""
    images = torch.arange(-6, 7).double()
    terms = torch.exp(-0.5 * (difference[..., None] + images).square() / variance)
    return terms.sum(-1) / (2.0 * np.pi * variance) ** 0.5


@given(st.lists(st.floats(0.0, 0.999), min_size=6, max_size=6))
@settings(max_examples=50, deadline=None)
def test_shortest_path_is_the_shortest_of_27_images(values: list[float]) -> None:
    origin, goal = torch.tensor(values).double().view(2, 1, 3)
    images = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=3))).double()
    ways = goal - origin + images
    found = shortest_path(origin, goal)
    assert found.norm() <= ways.norm(dim=1).min() + 1e-12
    assert ((ways - found).abs().amax(1) < 1e-9).any()


def test_mean_path_is_variance_times_score() -> None:
    difference = torch.linspace(-0.5, 0.499, 41).double().requires_grad_(True)
    for variance in (1e-4, 0.01, 0.1, 0.5):
        chosen = difference.detach()[difference.detach().abs() < 30 * variance**0.5].requires_grad_(True)
        (score,) = torch.autograd.grad(density(chosen, variance).log().sum(), chosen)
        # the way back from x_t = x_0 + difference
        found = mean_path(-chosen.detach(), torch.tensor(variance).double())
        torch.testing.assert_close(found, variance * score, atol=1e-10, rtol=1e-7)


def test_path_scale_is_the_size_of_mean_paths() -> None:
    generator = torch.Generator().manual_seed(1)
    variance = torch.tensor([0.0, 1e-4, 0.01, 0.2]).double()
    noise = torch.randn(400_000, generator=generator).double()
    for index, scale in enumerate(path_scale(variance).tolist()):
        way = shortest_path(variance[index].sqrt() * noise, torch.zeros(()).double())
        measured = mean_path(way, variance[index]).square().mean().sqrt() if index else torch.ones(())
        assert abs(scale / float(measured) - 1.0) < 0.01


def test_posterior_is_bayes() -> None:
    process = TorusDiffusion(VarianceExploding(torch.tensor([0.0, 0.02, 0.15]).double()))
    start, noisy = torch.tensor([[0.1]]).double(), torch.tensor([[0.55]]).double()
    grid = (torch.arange(500).double() + 0.5) / 500
    bayes = (
        density(grid - start[0], 0.02) * density(noisy[0] - grid, 0.13) / density(noisy[0] - start[0], 0.15)
    )
    mixture = process.posterior(noisy, start, torch.tensor([2]), torch.tensor([1]))
    parts = density(grid[:, None] - mixture.mean[0], float(mixture.deviation) ** 2)
    torch.testing.assert_close((parts * mixture.weight[0]).sum(1), bayes, rtol=1e-6, atol=1e-9)


def test_marginals_are_wrapped_normals() -> None:
    process = TorusDiffusion(VarianceExploding(torch.tensor([0.0, 0.03]).double()))
    noise = torch.randn(SAMPLES, 1, generator=torch.Generator().manual_seed(2)).double()
    step = torch.ones(SAMPLES, dtype=torch.int64)
    drawn = process.marginal(torch.full((SAMPLES, 1), 0.9).double(), step, noise)
    grid = (torch.arange(2000).double() + 0.5) / 2000
    distribution = density(grid - 0.9, 0.03).cumsum(0).numpy() / 2000
    assert stats.kstest(drawn[:, 0].numpy(), lambda x: np.interp(x, grid.numpy(), distribution)).pvalue > 1e-3


def test_last_step_is_uniform_where_corrected_and_not_in_the_paper() -> None:
    noise = torch.randn(SAMPLES, 1, generator=torch.Generator().manual_seed(3)).double()
    found = {}
    for chosen in (GemsDiffSettings.fast(), GemsDiffSettings.paper()):
        schedule = RECIPES[chosen.recipe].schedule(chosen)
        last = torch.full((SAMPLES,), chosen.steps)
        drawn = TorusDiffusion(schedule).marginal(torch.full((SAMPLES, 1), 0.3).double(), last, noise)
        found[chosen.recipe] = stats.kstest(drawn[:, 0].numpy(), "uniform").pvalue
    assert found["corrected"] > 1e-2
    assert found["paper"] < 1e-20


def test_reverse_process_recovers_a_mixture_of_wrapped_normals() -> None:
    chosen = GemsDiffSettings.fast()
    process = TorusDiffusion(RECIPES["corrected"].schedule(chosen))
    centres, weights, own = torch.tensor([0.05, 0.6]).double(), torch.tensor([0.3, 0.7]).double(), 0.04**2
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(SAMPLES, 1, generator=generator).double()
    for now, then in pairwise(range(chosen.steps, -1, -1)):
        variance = float(process.schedule.variance[now])
        leaf = x.clone().requires_grad_(True)
        law = (weights * density(leaf - centres, own + variance)).sum(1)
        (score,) = torch.autograd.grad(law.log().sum(), leaf)
        steps = (torch.full((SAMPLES,), number) for number in (now, then))
        noise = torch.randn(SAMPLES, 1, generator=generator).double()
        x = process.step_back(x, variance * score, *steps, noise)
    grid = (torch.arange(4000).double() + 0.5) / 4000
    distribution = ((weights * density(grid[:, None] - centres, own)).sum(1).cumsum(0) / 4000).numpy()
    # a hundred steps are not infinitely many
    distance = stats.kstest(x[:, 0].numpy(), lambda y: np.interp(y, grid.numpy(), distribution)).statistic
    assert distance < 0.02


def test_paper_jumps_to_what_is_predicted() -> None:
    chosen = GemsDiffSettings.paper()
    schedule = PaperRecipe().schedule(chosen)
    assert abs(float(schedule.variance[-1]) ** 0.5 - 0.309) < 1e-3
    generator = torch.Generator().manual_seed(5)
    goal, noisy = torch.rand(2, 500, 3, generator=generator).double()
    step = torch.full((500,), 1)
    process = type("Process", (), {"torus": TorusDiffusion(schedule)})
    back = PaperRecipe().positions_back(
        noisy, shortest_path(noisy, goal), (step, step - 1), torch.randn(500, 3).double(), process
    )
    torch.testing.assert_close(shortest_path(back, goal), torch.zeros(500, 3).double(), atol=1e-12, rtol=0)


def test_wrapped_is_below_one() -> None:
    assert wrapped(torch.tensor([-1e-18, 1.0, 2.25, -0.25]).double()).tolist() == [0.0, 0.0, 0.25, 0.75]
