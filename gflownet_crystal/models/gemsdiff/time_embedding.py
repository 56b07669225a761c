"""The step of a diffusion as a vector of waves (GemsDiff, equation 8; Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LONGEST = 10_000.0


def time_embedding(step: Tensor, width: int) -> Tensor:
    """sin and cos of t / n^(2k / width) with n = 10,000, (n, width) float32, scaled to mean square 1.

    Args:
        step: (n,) int64, t.
        width: width of the vector, even.
    """
    orders = torch.arange(0, width, 2, device=step.device, dtype=torch.float32)
    waves = step[:, None].float() * torch.exp(-math.log(_LONGEST) * orders / width)
    return math.sqrt(2.0) * torch.cat([waves.sin(), waves.cos()], dim=1)
