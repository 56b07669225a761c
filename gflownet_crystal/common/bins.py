"""Edges of the bins of histograms, and numbers that axes can show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_RESOLVED = 1e-6
LARGEST_DRAWN = 1e30
"""Largest magnitude that axes show: larger numbers overflow in their ticks."""


def drawable(values: Iterable[object]) -> pd.Series[float]:
    """Values as numbers; those that are none, or that no axis can show, are missing."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    return numbers.where(numbers.abs() < LARGEST_DRAWN)


def common_bins(values: Sequence[NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    """Edges (n + 1,) of bins that hold 98 % of each set of values, or lie around the one value that there is.

    Args:
        values: sets of finite values; empty ones count for nothing.
        n: bins.
    """
    ends = [np.quantile(one, [0.01, 0.99]) for one in values if len(one)]
    low, high = (min(end[0] for end in ends), max(end[1] for end in ends)) if ends else (0.0, 0.0)
    # bins need a width that their numbers resolve
    pad = max(0.5, _RESOLVED * max(abs(low), abs(high)))
    if high - low <= _RESOLVED * pad:
        low, high = low - pad, high + pad
    return np.linspace(low, high, n + 1)
