"""Conventional and primitive cells of the 230 groups, in the ITA standard setting.

A primitive basis is a matrix B whose rows give the primitive lattice vectors in units of the conventional ones:
``primitive = B @ conventional`` with lattice vectors as rows. The bases are those of spglib and moyo (Grosse-Kunstleve,
Acta Cryst. A55, 383, 1999), obverse setting for R. All functions are batched and keep the dtype of the cell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, space_group_symbol

CENTRINGS = ("P", "A", "C", "I", "F", "R")
"""Centring letters of the standard settings."""

PRIMITIVE_BASES = (
    torch.tensor(
        [
            [[6, 0, 0], [0, 6, 0], [0, 0, 6]],
            [[6, 0, 0], [0, 3, 3], [0, -3, 3]],
            [[3, -3, 0], [3, 3, 0], [0, 0, 6]],
            [[-3, 3, 3], [3, -3, 3], [3, 3, -3]],
            [[0, 3, 3], [3, 0, 3], [3, 3, 0]],
            [[4, 2, 2], [-2, 2, 2], [-2, -4, 2]],
        ],
        dtype=torch.float64,
    )
    / 6
)
"""(6, 3, 3) float64, one basis B for each of CENTRINGS."""

LATTICE_POINTS = torch.tensor([1, 2, 2, 2, 4, 3])
"""(6,) int64, lattice points in the conventional cell: conventional counts are these times the primitive ones."""

centring_of_group = torch.tensor(
    [-1, *(CENTRINGS.index(space_group_symbol(group)[0]) for group in range(1, N_SPACE_GROUPS + 1))]
)
"""(231,) int64 index into CENTRINGS by group number; -1 at entry 0."""

_BASIS_OF_GROUP, _POINTS_OF_GROUP = PRIMITIVE_BASES[centring_of_group], LATTICE_POINTS[centring_of_group]


def primitive_basis(space_group: Tensor) -> Tensor:
    """Bases B of the groups, (n,) int64 -> (n, 3, 3) float64 on the same device."""
    bases: Tensor = on_device(_BASIS_OF_GROUP, space_group.device)[space_group]
    return bases


def lattice_points(space_group: Tensor) -> Tensor:
    """Lattice points in the conventional cells of the groups, (n,) int64 -> (n,) int64."""
    return on_device(_POINTS_OF_GROUP, space_group.device)[space_group]


def to_primitive_cell(cell: Tensor, space_group: Tensor) -> Tensor:
    """Primitive lattice vectors, (n, 3, 3) rows in Å, of conventional ones, (n, 3, 3), of space groups (n,)."""
    return primitive_basis(space_group).to(cell.dtype) @ cell


def to_primitive_fractional(fractional: Tensor, space_group: Tensor) -> Tensor:
    """Fractional coordinates in the primitive cell, in [0, 1).

    Atoms that a centring translation relates get the same coordinates up to rounding and whole cells.

    Args:
        fractional: (N, 3) in the conventional cell.
        space_group: (N,) int64, the group of each atom's structure.
    """
    return _wrap(_transform(fractional, torch.linalg.inv(primitive_basis(space_group))))


def centring_translations(centring: str) -> Tensor:
    """Lattice points in the conventional cell, fractional in [0, 1), origin first, (LATTICE_POINTS, 3) float64."""
    basis = PRIMITIVE_BASES[CENTRINGS.index(centring)]
    steps = torch.cartesian_prod(*(torch.arange(-1.0, 3.0, dtype=torch.float64),) * 3)
    sixths = torch.round(6 * steps @ basis).long() % 6
    return torch.unique(sixths, dim=0).double() / 6


def _transform(fractional: Tensor, matrix: Tensor) -> Tensor:
    return (fractional.unsqueeze(1) @ matrix.to(fractional.dtype)).squeeze(1)


def _wrap(fractional: Tensor) -> Tensor:
    wrapped = torch.remainder(fractional, 1.0)
    # the remainder of a tiny negative number rounds to 1.0
    return torch.where(wrapped >= 1.0, 0.0, wrapped)
