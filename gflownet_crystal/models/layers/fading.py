"""Weights that fade edges out, so that sums over neighbours are continuous in positions and cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BISECTIONS = 50
# where all neighbours in reach count fully, the reach does not matter, and its equation has no slope
_SMALLEST_SLOPE = 1e-9


def fade_out(distance_left: Tensor, fade: float) -> Tensor:
    """0 up to zero, 1 from ``fade`` on, and between them the quintic with two continuous derivatives."""
    x = (distance_left / fade).clamp(0.0, 1.0)
    return x**3 * (10.0 + x * (6.0 * x - 15.0))


def soft_reach(lengths: Tensor, source: Tensor, n_atoms: int, neighbours: int, fade: float) -> Tensor:
    """Cutoff of each atom: the distance at which the weights of its neighbours sum to ``neighbours``.

    The reach R of an atom solves sum_j fade_out(R - r_j) = k. It replaces the distance of the k-th neighbour, which has
    kinks where neighbours change places and leaves nothing inside it in a crystal whose nearest shell holds k atoms.
    R is at most ``fade`` beyond the k-th neighbour.

    Args:
        lengths: (E,) Å, of all edges that are shorter than that, and maybe others.
        source: (E,) int64, the atom each leaves.
        n_atoms: N.
        neighbours: k.
        fade: Å.

    Returns:
        (N,) Å, differentiable in the lengths; infinite for atoms with fewer than k edges.
    """
    degree = torch.bincount(source, minlength=n_atoms)

    def count(reach: Tensor) -> Tensor:
        weights = fade_out(reach.index_select(0, source) - lengths, fade)
        return torch.zeros_like(reach).index_add_(0, source, weights)

    with torch.no_grad():
        low = lengths.new_zeros(n_atoms)
        high = low.scatter_reduce(0, source, lengths, "amax") + fade
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            enough = count(middle) >= neighbours
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        slope = _slope(high.index_select(0, source) - lengths, fade)
        slope = torch.zeros_like(high).index_add_(0, source, slope).clamp(min=_SMALLEST_SLOPE)
    # a step of Newton's method at the solution: its derivative is that of the solution
    reach = high - (count(high) - neighbours) / slope
    return torch.where(degree >= neighbours, reach, math.inf)


def edge_weights(
    lengths: Tensor,
    source: Tensor,
    target: Tensor,
    n_atoms: int,
    *,
    cutoff: float | None,
    neighbours: int | None,
    fade: float,
    symmetric: bool,
) -> Tensor:
    """Weight of each edge, (E,), 0 to 1, differentiable in the lengths.

    Args:
        lengths: (E,) Å.
        source: (E,) int64, the atom each edge leaves.
        target: (E,) int64, the atom it leads to.
        n_atoms: N.
        cutoff: Å; None for none.
        neighbours: the sum of the weights that an atom gives, where that many are within the cutoff; None for all.
        fade: the last stretch of an atom's reach, Å, over which weights fall from 1 to 0.
        symmetric: whether the atoms at both ends give an edge its weight; a + b - a b if they give a and b.
    """
    reach = lengths.new_full((n_atoms,), math.inf)
    if neighbours is not None:
        reach = soft_reach(lengths, source, n_atoms, neighbours, fade)
    if cutoff is not None:
        reach = reach.clamp(max=cutoff)
    given = fade_out(reach.index_select(0, source) - lengths, fade)
    if not symmetric:
        return given
    taken = fade_out(reach.index_select(0, target) - lengths, fade)
    return given + taken - given * taken


def _slope(distance_left: Tensor, fade: float) -> Tensor:
    """Derivative of :func:`fade_out`."""
    x = (distance_left / fade).clamp(0.0, 1.0)
    return 30.0 / fade * (x * (1.0 - x)).square()
