"""Lengths of conventional cells as real numbers, and how the lengths of edges depend on these.

Sultanov et al., J. Chem. Inf. Model. 63, 6986 (2023), section 2 and 4.3. As printed, L3 = phi(a, b, c) with
phi(x) = k log(exp(x / k) + 1), which is never below k log 2. The paper's statement that L3 takes all real values,
so that every noisy L3 belongs to a cell, holds for the inverse: here lengths = phi(L3).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.crystallography.lattice import SOURCE_PARAMETER
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.models.layers.scatter import segment_sum

SOFTNESS = 10.0
"""k of phi, Å."""

FIRST_FIXED_ANGLES = 16
"""Groups from here on have conventional cells whose angles are fixed."""

_SHORTEST = 1e-6
_SYSTEM = torch.from_numpy(lattice_system_of_group)


def to_lengths(reals: Tensor) -> Tensor:
    """Cell lengths phi(L3), Å, any shape; always positive."""
    return softplus(reals, beta=1.0 / SOFTNESS, threshold=50.0)


def to_reals(lengths: Tensor) -> Tensor:
    """L3 of cell lengths in Å, any shape: the inverse of :func:`to_lengths`."""
    # log(exp(x) - 1) = x + log(1 - exp(-x)), which does not overflow
    return lengths + SOFTNESS * torch.log(-torch.expm1(-lengths / SOFTNESS))


def slope(lengths: Tensor) -> Tensor:
    """Derivative of lengths with respect to their L3 coordinate, of any shape: 1 - exp(-length / k)."""
    return -torch.expm1(-lengths / SOFTNESS)


def equal_lengths(space_group: Tensor) -> Tensor:
    """For each length the first one that has to equal it, (n,) groups -> (n, 3) int64, 0 to 2."""
    device = space_group.device
    return on_device(SOURCE_PARAMETER, device)[on_device(_SYSTEM, device)[space_group]][:, :3]


def stretched(cell: Tensor, lengths: Tensor) -> Tensor:
    """The cells (n, 3, 3) with other lengths (n, 3), Å, and the same angles."""
    return cell / cell.norm(dim=2, keepdim=True) * lengths[:, :, None]


def length_gradients(vectors: Tensor, cell: Tensor, sources: Tensor, structure_index: Tensor) -> Tensor:
    """Gradients of the lengths of edges by L3 at fixed fractional coordinates, in closed form.

    Args:
        vectors: (N, K, 3) Å, the edges of N nodes.
        cell: (n, 3, 3) conventional, Å.
        sources: (n, 3), see :func:`equal_lengths`; lengths that have to be equal count as one.
        structure_index: (N,) int64.

    Returns:
        (N, K, 3); zero for a length that follows an earlier one.
    """
    lengths = cell.norm(dim=2)
    fractional = vectors @ torch.linalg.inv_ex(cell).inverse[structure_index]
    along = vectors @ (cell / lengths[:, :, None]).mT[structure_index]
    gradients = fractional * along / vectors.norm(dim=2).clamp(min=_SHORTEST)[:, :, None]
    gradients = gradients * slope(lengths)[structure_index][:, None]
    first = sources[structure_index][:, None].expand_as(gradients)
    return torch.zeros_like(gradients).scatter_add(2, first, gradients)


def mean_change(
    amounts: Tensor, gradients: Tensor, weights: Tensor, sources: Tensor, structure_index: Tensor
) -> Tensor:
    """Change of L3 predicted by all edges: mean over the edges of amount * G / |G|^2 (section 4.3).

    Args:
        amounts: (N, K) predicted lengthening of each edge.
        gradients: (N, K, 3) G, of :func:`length_gradients`.
        weights: (N, K) weight of each edge.
        sources: (n, 3), see :func:`equal_lengths`.
        structure_index: (N,) int64.

    Returns:
        (n, 3), equal for lengths that symmetry makes equal.
    """
    squares = gradients.square().sum(2).clamp(min=_SHORTEST)
    changes = gradients * (amounts * weights / squares)[:, :, None]
    total = segment_sum(changes.sum(1), structure_index, len(sources))
    count = segment_sum(weights.sum(1), structure_index, len(sources)).clamp(min=_SHORTEST)
    return (total / count[:, None]).gather(1, sources)
