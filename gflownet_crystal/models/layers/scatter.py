"""Sums and means over the edges of an atom, the atoms of a structure, and the like, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_sum(values: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Sum of the rows of each segment.

    Args:
        values: (M, ...) rows, any floating dtype.
        index: (M,) int64, the segment of each row, 0 to ``n_segments`` - 1, in any order.
        n_segments: number of segments.

    Returns:
        (n_segments, ...); zero for a segment without rows. In the dtype of ``values``, but float32 for half
        precision, in which long sums would stop growing.
    """
    half = values.dtype in (torch.bfloat16, torch.float16)
    wide = values.float() if half else values
    return wide.new_zeros((n_segments, *values.shape[1:])).index_add_(0, index, wide)


def segment_mean(values: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Mean of the rows of each segment: as :func:`segment_sum`, over the number of its rows (at least 1)."""
    # unlike bincount, without asking the device for the largest index
    count = index.new_zeros(n_segments).index_add_(0, index, torch.ones_like(index)).clamp(min=1)
    total = segment_sum(values, index, n_segments)
    return total / count.to(total.dtype).view(-1, *(1,) * (values.dim() - 1))
