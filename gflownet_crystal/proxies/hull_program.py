"""Many small linear programs of one shape at once: the cheapest mixture of phases at each composition."""

from __future__ import annotations

import torch
from torch import Tensor

_TOLERANCE = 1e-9
_MAX_PIVOTS = 200


def lowest_mixture(fractions: Tensor, points: Tensor, energies: Tensor) -> Tensor:
    """Minimum of sum w_i e_i over w >= 0 with sum w_i p_i = x, by the revised simplex method on all rows together.

    The k pure components, at energy 0, complete the phases and are the first basis, which is feasible for every
    composition.

    Args:
        fractions: x, (n, k) float64, rows positive and summing to 1.
        points: p, (m, k) float64 compositions of the phases, shared by all rows; each sums to 1.
        energies: e, (n, m) float64 energies of the phases.

    Returns:
        (n,) float64, at most 0.
    """
    n, k = fractions.shape
    points = torch.cat([points, torch.eye(k, dtype=points.dtype)])
    energies = torch.cat([energies, energies.new_zeros(n, k)], dim=1)
    basis = torch.arange(len(points) - k, len(points)).expand(n, k).clone()
    inverse = torch.eye(k, dtype=points.dtype).expand(n, k, k).clone()
    amounts = fractions.clone()
    active = torch.arange(n)
    for _ in range(_MAX_PIVOTS):
        cost = energies[active].gather(1, basis[active])
        prices = torch.bmm(cost[:, None, :], inverse[active])[:, 0]
        gain, entering = (energies[active] - prices @ points.T).min(dim=1)
        going_on = gain < -_TOLERANCE
        active, entering = active[going_on], entering[going_on]
        if len(active) == 0:
            break
        direction = torch.bmm(inverse[active], points[entering][:, :, None])[:, :, 0]
        ratio = torch.where(direction > 1e-12, amounts[active] / direction.clamp(min=1e-12), torch.inf)
        step, leaving = ratio.min(dim=1)
        _pivot(active, entering, leaving, step, direction, basis, inverse, amounts)
    return (energies.gather(1, basis) * amounts).sum(1)


def _pivot(
    rows: Tensor,
    entering: Tensor,
    leaving: Tensor,
    step: Tensor,
    direction: Tensor,
    basis: Tensor,
    inverse: Tensor,
    amounts: Tensor,
) -> None:
    """Exchange one basic phase in each of ``rows``; ``basis``, ``inverse`` and ``amounts`` change in place."""
    here = torch.arange(len(rows))
    changed = (amounts[rows] - step[:, None] * direction).clamp(min=0.0)
    changed[here, leaving] = step
    amounts[rows] = changed
    old = inverse[rows]
    pivot_row = old[here, leaving] / direction[here, leaving][:, None]
    new = old - direction[:, :, None] * pivot_row[:, None, :]
    new[here, leaving] = pivot_row
    inverse[rows] = new
    basis[rows, leaving] = entering
