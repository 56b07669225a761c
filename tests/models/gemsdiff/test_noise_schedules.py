"""Schedules of noise, against Gaussian algebra on the joint law of all steps."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.gemsdiff.noise_schedules import (
    VarianceExploding,
    VariancePreserving,
    linear_betas,
)

BETAS = linear_betas(1e-3, 0.2, 8)


def joint_of_scaling() -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of x_0 and covariance of x_0 ... x_T given x_0, step by step from x_t = sqrt(1 - b) x_{t-1} + noise."""
    factors, covariance = torch.ones(9).double(), torch.zeros(9, 9).double()
    for t, beta in enumerate(BETAS.tolist(), start=1):
        root = (1.0 - beta) ** 0.5
        factors[t] = root * factors[t - 1]
        covariance[t, :t] = root * covariance[t - 1, :t]
        covariance[:t, t] = covariance[t, :t]
        covariance[t, t] = root**2 * covariance[t - 1, t - 1] + beta
    return factors, covariance


@pytest.mark.parametrize(("step", "to"), [(8, 7), (5, 2), (1, 0), (8, 0)])
def test_posterior_of_scaling_is_gaussian_conditioning(step: int, to: int) -> None:
    factors, covariance = joint_of_scaling()
    start, noisy = torch.tensor([[0.7]]).double(), torch.tensor([[-1.3]]).double()
    gain = covariance[to, step] / covariance[step, step]
    mean = factors[to] * start + gain * (noisy - factors[step] * start)
    variance = covariance[to, to] - gain * covariance[step, to]
    found, deviation = VariancePreserving.of(BETAS).posterior(
        noisy, start, torch.tensor([step]), torch.tensor([to])
    )
    torch.testing.assert_close(found, mean)
    torch.testing.assert_close(deviation[0, 0].square(), variance, atol=1e-12, rtol=1e-9)


def test_marginals_of_scaling_are_those_of_its_steps() -> None:
    factors, covariance = joint_of_scaling()
    steps = torch.arange(9)
    start, noise = torch.full((9, 1), 2.0).double(), torch.full((9, 1), 0.5).double()
    expected = factors[:, None] * start + covariance.diagonal()[:, None].sqrt() * noise
    torch.testing.assert_close(VariancePreserving.of(BETAS).marginal(start, steps, noise), expected)


def test_start_is_found_from_velocity() -> None:
    schedule, steps = VariancePreserving.of(BETAS), torch.arange(9)
    start, noise = torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(0)).double()
    noisy, velocity = schedule.marginal(start, steps, noise), schedule.velocity(start, steps, noise)
    torch.testing.assert_close(schedule.start_from_velocity(noisy, steps, velocity), start)


def test_step_of_adding_is_gaussian_conditioning() -> None:
    schedule = VarianceExploding.geometric(0.01, 0.5, 10)
    assert schedule.variance[1] == pytest.approx(1e-4) and schedule.variance[10] == pytest.approx(0.25)
    step, to = torch.tensor([9, 4, 1]), torch.tensor([3, 3, 0])
    now, then = schedule.variance[step], schedule.variance[to]
    share, deviation = schedule.shrinkage(step, to)
    # x_s and x_t have covariance v_s given x_0
    torch.testing.assert_close(1.0 - share, then / now)
    torch.testing.assert_close(deviation.square(), then - then.square() / now)


def test_deviations_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ConfigError, match="rise"):
        VarianceExploding.geometric(0.5, 0.1, 10)
