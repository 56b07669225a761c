"""Which of the tries of specs are kept."""

from __future__ import annotations

import torch
from torch import Tensor


def best_of_each(spec: Tensor, rating: Tensor, n: int = 1, digits: int = 4) -> Tensor:
    """The ``n`` candidates of the highest ratings of each spec, the first of several equal ones.

    Args:
        spec: (C,) int64, the spec of each candidate.
        rating: (C,) float64.
        n: candidates of a spec.
        digits: number of decimals of ratings that count, so that rounding errors break no ties and all batches agree.

    Returns:
        Rows of candidates, int64, by rising spec and falling rating.
    """
    falling = rating.mul(10.0**digits).round().argsort(descending=True, stable=True)
    by_spec = falling[spec[falling].argsort(stable=True)]
    sizes = torch.bincount(spec)
    place = torch.arange(len(spec), device=spec.device) - (sizes.cumsum(0) - sizes)[spec[by_spec]]
    return by_spec[place < n]
