"""The reward of limits: the probability that a property lies between them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.reward import RewardFunction

_SCALE = math.sqrt(3.0) / math.pi
"""Scale of a logistic distribution of standard deviation 1."""


class Limits(RewardFunction):
    """``R`` is the probability that the property lies within the limits.

    The property is distributed around the predicted value by a logistic distribution, whose standard deviation joins
    the width of the edges and that of the prediction. So log R falls linearly far outside, by 1.8 each standard
    deviation, and an uncertain prediction is never as good as a certain one within the limits.

    Args:
        low: lower limit, in the unit of the value; None for none.
        high: upper limit; None for none.
        width: width of the edges in the unit of the value, positive.
        caution: weight of the prediction's standard deviation.

    Raises:
        ConfigError: no limit, the lower one not below the upper one, or a setting that is out of range.
    """

    def __init__(self, low: float | None, high: float | None, width: float, caution: float = 1.0) -> None:
        if low is None and high is None:
            raise ConfigError("a reward of limits needs a lower or an upper one")
        self.low = -math.inf if low is None else low
        self.high = math.inf if high is None else high
        if not self.low < self.high:
            raise ConfigError(f"the lower limit {low} must be below the upper limit {high}")
        if not 0.0 < width < math.inf:
            raise ConfigError(f"the width of the edges must be positive and finite, not {width}")
        if not 0.0 <= caution < math.inf:
            raise ConfigError(f"caution is {caution}; a weight of the standard deviation is at least 0")
        self.width, self.caution = width, caution

    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        """Log-probabilities (n,) float64, at most 0."""
        scale = _SCALE * (self.width**2 + (self.caution * std).square()).sqrt()
        inside = logsigmoid((self.high - value) / scale) + logsigmoid((value - self.low) / scale)
        # F(b) - F(a) = F(b) F(-a) (1 - exp(a - b)): no difference of nearly equal numbers far outside
        return inside + torch.log(-torch.expm1((self.low - self.high) / scale))

    def met(self, value: Tensor) -> Tensor:
        """Whether values (n,) lie within the limits, bool; False for NaN."""
        return (value >= self.low) & (value <= self.high)
