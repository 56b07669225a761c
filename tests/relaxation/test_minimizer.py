"""The minimizer of many functions: quadratic forms, whose minima are known, and functions with several minima."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.relaxation.minimizer import Minimizer


def minimized(hessians: list[Tensor], energy_of, steps: int) -> tuple[Minimizer, list[Tensor]]:
    """Searches after some steps, and their best energies after each."""
    search = Minimizer.cat([Minimizer.start(hessian) for hessian in hessians])
    energies = []
    length = torch.zeros(len(hessians), dtype=torch.float64)
    for _ in range(steps):
        point = search.trial.clone().requires_grad_(True)
        energy = energy_of(point)
        (slopes,) = torch.autograd.grad(energy.sum(), [point])
        _, search = search.told(energy.detach(), slopes, length, torch.zeros(len(hessians), dtype=torch.bool))
        energies.append(search.energy)
        directions = search.directions()
        search = search.stepped(directions, directions.norm(dim=1))
        length = (search.trial - search.values).norm(dim=1)
    return search, energies


def test_quadratic_forms_of_different_sizes_end_at_their_minima() -> None:
    generator = torch.Generator().manual_seed(0)
    minima = [torch.randn(size, generator=generator, dtype=torch.float64) for size in (3, 5)]
    factors = [torch.randn(size, size, generator=generator, dtype=torch.float64) for size in (3, 5)]
    forms = [factor @ factor.T + torch.eye(len(factor), dtype=torch.float64) for factor in factors]

    def energy_of(point: Tensor) -> Tensor:
        moved = [point[row, : len(minimum)] - minimum for row, minimum in enumerate(minima)]
        return torch.stack([one @ form @ one for one, form in zip(moved, forms, strict=True)])

    guesses = [torch.eye(len(form), dtype=torch.float64) for form in forms]
    search, energies = minimized(guesses, energy_of, 60)
    for row, minimum in enumerate(minima):
        torch.testing.assert_close(search.values[row, : len(minimum)], minimum, atol=1e-5, rtol=0)
    assert float(search.values[0, 3:].abs().max()) == 0.0
    found = torch.stack(energies)
    # a step never raises the energy by more than rounding
    assert bool((found.diff(dim=0) <= 4e-6).all())
    # second derivatives that are right take the shortest way: as many steps as the radius allows
    exact, energies = minimized(
        [2.0 * forms[0]],
        lambda point: energy_of(torch.cat([point, point[:, :2].new_zeros(1, 2)], 1).repeat(2, 1))[:1],
        20,
    )
    torch.testing.assert_close(exact.values[0], minima[0], atol=1e-9, rtol=0)


def test_a_guess_that_is_much_too_soft_overshoots_and_comes_back() -> None:
    search, energies = minimized(
        [torch.full((1, 1), 1e-3, dtype=torch.float64)], lambda point: 50.0 * (point[:, 0] - 0.03) ** 2, 12
    )
    assert abs(float(search.values[0, 0]) - 0.03) < 1e-4
    assert float(energies[-1][0]) < 1e-6


def test_second_derivatives_stay_positive_on_a_hill() -> None:
    search, energies = minimized(
        [torch.ones((1, 1), dtype=torch.float64)], lambda point: -torch.cos(point[:, 0] - 2.8), 30
    )
    assert float(search.hessian[0, 0, 0]) > 0.0
    assert abs(float(search.values[0, 0]) - 2.8) < 1e-3 and float(energies[-1][0]) < -0.999999


def test_searches_do_not_see_each_other() -> None:
    def energy_of(point: Tensor) -> Tensor:
        return (1.0 + point[:, 0] ** 2).log() + (point[:, 0] - 1.0) ** 2 + 0.5 * point[:, 1] ** 4

    hessian = torch.eye(2, dtype=torch.float64)
    alone, _ = minimized([hessian], energy_of, 8)
    together, _ = minimized([hessian, 3.0 * hessian, 0.2 * hessian], energy_of, 8)
    torch.testing.assert_close(together.values[:1], alone.values, atol=1e-12, rtol=0)
