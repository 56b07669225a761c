"""The Beta distribution in log-odds, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gflownet_crystal.policies.beta import beta_log_prob, sample_beta_log_odds

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
