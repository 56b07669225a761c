"""Many small linear programs of one shape at once: the cheapest mixture of phases at each composition."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ProxyError

_TOLERANCE = 1e-9
_SMALLEST_PIVOT = 1e-10
_TIE = 1e-12
_GREEDY_PIVOTS = 60
_MAX_PIVOTS = 2000


def lowest_mixture(fractions: Tensor, points: Tensor, energies: Tensor) -> Tensor:
    """Minimum of sum w_i e_i over w >= 0 with sum w_i p_i = x, by the revised simplex method on all rows together.

    The k pure components, at energy 0, complete the phases and are the first basis, which is feasible for every
    composition. Phases enter by the largest gain; rows that take long go on by Bland's rule (Math. Oper. Res. 2, 103,
    1977), which cannot cycle where several mixtures are equal.

    Args:
        fractions: x, (n, k) float64, rows positive and summing to 1.
        points: p, compositions of the phases: (m, k) float64, shared by all rows, or (n, m, k), the rows' own; each
            sums to 1.
        energies: e, (n, m) float64 energies of the phases.

    Returns:
        (n,) float64, at most 0, at most 1e-9 above the minimum.

    Raises:
        ProxyError: the minimum of a row is not found.
    """
    n, k = fractions.shape
    pure = torch.eye(k, dtype=points.dtype)
    points = torch.cat([points, pure.expand(*points.shape[:-2], k, k)], dim=-2)
    energies = torch.cat([energies, energies.new_zeros(n, k)], dim=1)
    basis = torch.arange(points.shape[-2] - k, points.shape[-2]).expand(n, k).clone()
    inverse = torch.eye(k, dtype=points.dtype).expand(n, k, k).clone()
    amounts = fractions.clone()
    active = torch.arange(n)
    for pivot in range(_MAX_PIVOTS):
        greedy = pivot < _GREEDY_PIVOTS
        cost = energies[active].gather(1, basis[active])
        prices = torch.bmm(cost[:, None, :], inverse[active])[:, 0]
        reduced = energies[active] - _worth(points, prices, active)
        entering = reduced.argmin(dim=1) if greedy else (reduced < -_TOLERANCE).int().argmax(dim=1)
        going_on = reduced.gather(1, entering[:, None])[:, 0] < -_TOLERANCE
        active, entering = active[going_on], entering[going_on]
        if len(active) == 0:
            return (energies.gather(1, basis) * amounts).sum(1)
        entered = points[entering] if points.dim() == 2 else points[active, entering]
        direction = torch.bmm(inverse[active], entered[:, :, None])[:, :, 0]
        step, leaving = _leaving(amounts[active], direction, basis[active], greedy)
        _pivot(active, entering, leaving, step, direction, basis, inverse, amounts)
    raise ProxyError(
        f"no lowest mixture found for {len(active)} of {n} compositions in {_MAX_PIVOTS} exchanges of phases; "
        "check the energies of the hull's phases"
    )


def _worth(points: Tensor, prices: Tensor, active: Tensor) -> Tensor:
    """Value (n, m) of each phase at the prices (n, k) of the components."""
    if points.dim() == 2:
        return prices @ points.T
    own = points if len(active) == len(points) else points[active]
    return torch.bmm(own, prices[:, :, None])[:, :, 0]


def _leaving(amounts: Tensor, direction: Tensor, basis: Tensor, greedy: bool) -> tuple[Tensor, Tensor]:
    """Largest amount of a phase that can enter, (n,), and the place (n,) in the basis of the phase that leaves."""
    usable = direction > _SMALLEST_PIVOT
    ratio = torch.where(usable, amounts / direction.clamp(min=_SMALLEST_PIVOT), torch.inf)
    step = ratio.min(dim=1).values
    tied = ratio <= step[:, None] + _TIE
    # among equals the largest pivot loses the fewest digits; Bland's rule wants the first phase
    rank = direction if greedy else -basis.double()
    return step, torch.where(tied, rank, -torch.inf).argmax(dim=1)


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
