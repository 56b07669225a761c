"""Ranks of samples with several objectives: fronts of those that no other one dominates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = 256


def pareto_ranks(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the front of each object by non-dominated sorting, (n,) from 1.

    An object dominates another one if it is at most as costly in each objective and less so in one. Those that none
    dominates are of front 1; without them, the next are of front 2, and so on. Equal objects are of one front.

    Args:
        costs: (n, m) costs of n objects in m objectives, lower is better; NaN counts as the highest.
    """
    if not costs.shape[1]:
        return np.ones(len(costs), dtype=np.int64)
    # sorted by the first objective, then the second, ...: none is dominated by a later one
    points, place = np.unique(np.where(np.isnan(costs), np.inf, costs), axis=0, return_inverse=True)
    # the front of a point is one more than the highest front among those that dominate it
    fronts = np.zeros(len(points), dtype=np.int64)
    for start in range(0, len(points), _ROWS):
        block = points[start : start + _ROWS]
        earlier = _highest(points[:start], fronts[:start], block)
        within = _dominates(block, block)
        found = np.zeros(len(block), dtype=np.int64)
        while True:
            raised = 1 + np.maximum(earlier, np.where(within, found[:, None], 0).max(axis=0))
            if (raised == found).all():
                break
            found = raised
        fronts[start : start + _ROWS] = found
    return fronts[place.reshape(-1)]


def _dominates(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each of n distinct points dominates each of m others, (n, m)."""
    found = np.ones((len(points), len(others)), dtype=bool)
    for own, other in zip(points.T, others.T, strict=True):
        found &= own[:, None] <= other[None]
    if points is others:
        np.fill_diagonal(found, False)
    return found


def _highest(
    points: NDArray[np.float64], fronts: NDArray[np.int64], others: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The highest front among the points that dominate each of m others, (m,); 0 where none does."""
    highest = np.zeros(len(others), dtype=np.int64)
    step = 8 * _ROWS
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        found = np.where(_dominates(points[part], others), fronts[part, None], 0).max(axis=0)
        highest = np.maximum(highest, found)
    return highest
