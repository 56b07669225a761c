"""Minkowski reduction of many lattices at once, in whole numbers."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

_MOST_STEPS = 100
# a vector gives way only to one clearly shorter, so that rounding cannot lead round in circles
_SHORTER = 1.0 - 1e-9
_TINY = 1e-300
# the point of a reduced plane nearest to a third vector is one step at most from where rounding leads
_STEPS = tuple(product((0.0, -1.0, 1.0), repeat=2))


def reduce_cells(cell: Tensor) -> Tensor:
    """Whole-numbered changes of basis to the shortest lattice vectors, the shortest first.

    Greedy reduction (P. Nguyen and D. Stehle, ACM Trans. Algorithms 5, 46, 2009): the vectors are sorted, and each is
    shortened by those before it, until that is no longer possible.

    Args:
        cell: (n, 3, 3) float64, lattice vectors as rows.

    Returns:
        (n, 3, 3) float64 whole numbers of determinant 1 or -1; the reduced vectors are the rows of result @ cell.
        Those of a flat cell need not be reduced.
    """
    steps = cell.new_tensor(_STEPS)
    change = torch.eye(3, dtype=cell.dtype, device=cell.device).expand_as(cell)
    for _ in range(_MOST_STEPS):
        order = (change @ cell).square().sum(2).argsort(dim=1, stable=True)
        change = change.gather(1, order[:, :, None].expand_as(change))
        first, second, third = (change @ cell).unbind(1)
        overlap = (dot(second, first) / dot(first, first)).round()[:, None]
        shorter_second = second - overlap * first
        moved_second = (dot(shorter_second, shorter_second) < _SHORTER * dot(second, second))[:, None]
        overlap = overlap.where(moved_second, 0.0)
        second = second - overlap * first
        along_second, along_first, moved_third = _nearest_in_plane(first, second, third, steps)
        if not bool((moved_second | moved_third).any()):
            break
        new_second = change[:, 1] - overlap * change[:, 0]
        new_third = change[:, 2] - along_second * new_second - along_first * change[:, 0]
        change = torch.stack([change[:, 0], new_second, new_third], dim=1)
    return change


def dot(left: Tensor, right: Tensor) -> Tensor:
    """Products of vectors, (..., 3) and (..., 3) -> (...); never 0, so that one can divide by them."""
    products = (left * right).sum(-1)
    return products.where(products != 0, _TINY)


def _nearest_in_plane(
    first: Tensor, second: Tensor, third: Tensor, steps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Multiples of the second and the first vector to take from the third, and whether that helps, (n, 1) each."""
    square = dot(first, first)[:, None]
    upright = second - dot(second, first)[:, None] / square * first
    along_second = (dot(third, upright) / dot(upright, upright)).round()[:, None] + steps[:, 0]
    rest = third[:, None] - along_second[..., None] * second[:, None]
    along_first = (dot(rest, first[:, None]) / square).round() + steps[:, 1]
    rest = rest - along_first[..., None] * first[:, None]
    squares, best = dot(rest, rest).min(dim=1, keepdim=True)
    moved = squares < _SHORTER * dot(third, third)[:, None]
    return (
        along_second.gather(1, best).where(moved, 0.0),
        along_first.gather(1, best).where(moved, 0.0),
        moved,
    )
