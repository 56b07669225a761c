"""The Beta distribution in log-odds, exact from concentrations of 0.1 to 1e4.

A Beta(0.1, 0.1) draw lies within 1e-16 of 0 or 1 several times in a hundred; stored as a float it would pile up at the
ends. Its log-odds ``log(r / (1 - r))`` do not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def sample_beta_log_odds(alpha: Tensor, beta: Tensor, generator: torch.Generator) -> Tensor:
    """Draw ``r ~ Beta(alpha, beta)`` as log-odds.

    Args:
        alpha: positive concentrations, float64.
        beta: positive concentrations of the same shape, float64.
        generator: source of randomness, on the same device.

    Returns:
        ``log(r / (1 - r))``, float64, of that shape; no gradient.
    """
    with torch.no_grad():
        return _log_gamma_draw(alpha, generator) - _log_gamma_draw(beta, generator)


def _log_gamma_draw(concentration: Tensor, generator: torch.Generator) -> Tensor:
    # G(a) = G(a + 1) U^(1/a): in logarithms this keeps draws that would underflow for small a
    boosted = torch._standard_gamma(concentration + 1.0, generator=generator)
    uniform = torch.rand(
        concentration.shape, generator=generator, device=concentration.device, dtype=concentration.dtype
    )
    return boosted.log() + torch.log1p(-uniform) / concentration


def beta_log_prob(log_odds: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Log-density of ``r`` (with respect to ``dr``) under Beta(alpha, beta), given the log-odds of ``r``.

    Args:
        log_odds: ``log(r / (1 - r))``, float64, broadcastable with the concentrations.
        alpha: positive concentrations, float64.
        beta: positive concentrations, float64.

    Returns:
        float64 log-density of the broadcast shape.
    """
    normaliser = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
    left = (alpha - 1.0) * functional.logsigmoid(log_odds)
    right = (beta - 1.0) * functional.logsigmoid(-log_odds)
    return left + right - normaliser


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.limits = low, high
        return value.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (value,), (low, high), gradient = ctx.saved_tensors, ctx.limits, gradients[0]
        outward = ((value <= low) & (gradient > 0.0)) | ((value >= high) & (gradient < 0.0))
        return gradient.masked_fill(outward, 0.0), None, None


def bounded(value: Tensor, low: float, high: float) -> Tensor:
    """Clamp whose gradient is zero only where descent would leave the interval.

    With a plain clamp, a mixture whose concentrations have all fallen to the lower limit is uniform for ever.
    """
    result: Tensor = _Bounded.apply(value, low, high)
    return result
