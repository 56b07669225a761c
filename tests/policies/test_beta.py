"""The Beta distribution in log-odds, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gflownet_crystal.policies.beta import beta_log_prob, bounded, sample_beta_log_odds

CONCENTRATIONS = (0.1, 10.0, 1e4)


@pytest.mark.parametrize("alpha", CONCENTRATIONS)
@pytest.mark.parametrize("beta", CONCENTRATIONS)
def test_draws_fit_the_distribution(alpha: float, beta: float) -> None:
    generator = torch.Generator().manual_seed(7)
    shape = (
        torch.full((50_000,), alpha, dtype=torch.float64),
        torch.full((50_000,), beta, dtype=torch.float64),
    )
    log_odds = sample_beta_log_odds(*shape, generator).numpy()
    # half of the line from r, the other half from 1 - r: neither is rounded to its end
    low = stats.beta(alpha, beta).cdf(1.0 / (1.0 + np.exp(-np.clip(log_odds, -700, 0))))
    high = stats.beta(beta, alpha).sf(1.0 / (1.0 + np.exp(np.clip(log_odds, 0, 700))))
    uniform = np.where(log_odds < 0, low, high)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert len(np.unique(log_odds)) == len(log_odds)


@given(
    alpha=st.floats(0.1, 1e4),
    beta=st.floats(0.1, 1e4),
    fraction=st.floats(1e-6, 1 - 1e-6),
)
def test_log_prob_is_scipys(alpha: float, beta: float, fraction: float) -> None:
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (fraction, alpha, beta)]
    ours = beta_log_prob(torch.logit(numbers[0]), numbers[1], numbers[2])
    assert float(ours) == pytest.approx(stats.beta(alpha, beta).logpdf(fraction), rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_bounded_is_a_clamp_that_can_be_left_inwards(values: list[float]) -> None:
    value = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    assert torch.equal(bounded(value, -1.0, 1.0), value.clamp(-1.0, 1.0))
    for sign in (1.0, -1.0):
        (gradient,) = torch.autograd.grad((sign * bounded(value, -1.0, 1.0)).sum(), value)
        # descent moves against the gradient
        stepped = value - 1e-3 * gradient
        moves = (stepped - value).sign()
        inside = value.detach().abs() < 1.0
        outward = value.detach().sign() == -sign
        assert torch.equal(moves != 0.0, inside | ~outward)
        assert bool((moves[moves != 0.0] == -sign).all())
