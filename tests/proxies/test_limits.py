"""The reward of limits against the logistic distribution of SciPy, and far outside of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import logistic

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.limits import Limits

VALUES = torch.tensor([-1.0, 0.9, 1.2, 1.4, 1.55, 1.8, 4.0]).double()
STD = torch.tensor([0.0, 0.3, 0.1, 0.05, 0.0, 1.0, 0.2]).double()


@pytest.mark.parametrize(("low", "high"), [(1.2, 1.6), (1.2, None), (None, 1.6)])
@pytest.mark.parametrize("caution", [0.0, 1.0, 2.0])
def test_the_reward_is_a_probability_of_the_logistic_distribution(
    low: float | None, high: float | None, caution: float
) -> None:
    found = Limits(low, high, width=0.1, caution=caution)(VALUES, STD).exp().numpy()
    deviation = np.sqrt(0.1**2 + (caution * STD.numpy()) ** 2)
    law = logistic(loc=VALUES.numpy(), scale=deviation * math.sqrt(3.0) / math.pi)
    assert law.std() == pytest.approx(deviation)
    upper = 1.0 if high is None else law.cdf(high)
    lower = 0.0 if low is None else law.cdf(low)
    assert found == pytest.approx(upper - lower, rel=1e-7, abs=1e-13)


def test_far_outside_it_falls_linearly_and_stays_finite() -> None:
    limits = Limits(1.0, 2.0, width=0.01)
    far = limits(torch.tensor([-1e4, -2e4, 3e4]).double(), torch.zeros(3).double())
    assert bool(far.isfinite().all())
    slope = float(far[0] - far[1]) / 1e4
    assert slope == pytest.approx(math.pi / math.sqrt(3.0) / 0.01)


def test_an_uncertain_value_within_is_worse_than_a_certain_one() -> None:
    found = Limits(1.2, 1.6, width=0.05)(torch.full((4,), 1.4).double(), torch.tensor([0.0, 0.1, 1.0, 10.0]))
    assert bool((found.diff() < 0).all()) and float(found[3]) < -4.0


def test_both_limits_belong_to_what_is_met() -> None:
    values = torch.tensor([1.19, 1.2, 1.6, 1.61, math.nan])
    assert Limits(1.2, 1.6, 0.1).met(values).tolist() == [False, True, True, False, False]
    assert Limits(None, 1.6, 0.1).met(values).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("low", "high", "width", "caution"),
    [(None, None, 0.1, 1.0), (1.0, 1.0, 0.1, 1.0), (2.0, 1.0, 0.1, 1.0), (1.0, math.nan, 0.1, 1.0),
     (1.0, 2.0, 0.0, 1.0), (1.0, 2.0, math.nan, 1.0), (1.0, 2.0, 0.1, -1.0)],
)  # fmt: skip
def test_what_is_no_limit_is_refused(
    low: float | None, high: float | None, width: float, caution: float
) -> None:
    with pytest.raises(ConfigError):
        Limits(low, high, width, caution)
