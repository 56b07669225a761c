"""Distances between distributions, against closed forms."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.agreement import count_variation, fit_log_log, total_variation, wasserstein

F64 = torch.float64


def test_total_variation_is_the_largest_difference_of_an_event() -> None:
    first, second = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([4.0, 4.0, 2.0], dtype=F64)
    events = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=F64)] * 3)
    assert total_variation(first, second) == pytest.approx(float((events @ (first - second / 10.0)).max()))


def test_total_variation_refuses_what_is_no_distribution() -> None:
    with pytest.raises(DataError):
        total_variation(torch.zeros(3), torch.ones(3))
    with pytest.raises(DataError):
        total_variation(torch.ones(3), torch.ones(4))


def test_noise_of_count_variation_is_what_equal_distributions_show() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1])
    found, expected = [], []
    for _ in range(300):
        pair = (torch.multinomial(weights, n, True, generator=generator) for n in (2000, 1000))
        distance, noise = count_variation(*pair, n_classes=4)
        found.append(distance)
        expected.append(noise)
    assert sum(found) / 300 == pytest.approx(sum(expected) / 300, rel=0.07)


def test_wasserstein_of_a_shift_is_the_shift() -> None:
    sample = torch.randn(1000, generator=torch.Generator().manual_seed(1), dtype=F64)
    assert wasserstein(sample, sample.flip(0) + 0.3) == pytest.approx(0.3)


def test_log_log_fit_finds_slope_and_its_error() -> None:
    generator = torch.Generator().manual_seed(2)
    slopes, errors = [], []
    for _ in range(200):
        reward = torch.randn(200, generator=generator, dtype=F64) * 2.0
        prob = 0.8 * reward - 3.0 + 0.5 * torch.randn(200, generator=generator, dtype=F64)
        fit = fit_log_log(prob, reward, generator, n_bootstrap=200)
        slopes.append(fit.slope)
        errors.append(fit.slope_error)
    measured = torch.tensor(slopes)
    assert float(measured.mean()) == pytest.approx(0.8, abs=0.01)
    assert sum(errors) / 200 == pytest.approx(float(measured.std()), rel=0.15)
    assert fit_log_log(prob, prob, generator).spearman == pytest.approx(1.0)
