"""One standard cell for each lattice, for networks whose output depends on the choice of cell."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.models.gemsdiff.torus_diffusion import wrapped
from gflownet_crystal.structures.reduction import reduce_cells
from gflownet_crystal.structures.structure import StructureBatch

# a product this much smaller than the squares belongs to a right angle
_RIGHT = 1e-6


def learned_basis(cell: Tensor) -> Tensor:
    """Whole-numbered changes of basis to shortest vectors, all angles acute or, where that cannot be, none (as Niggli).

    Args:
        cell: (n, 3, 3) float64 rows.

    Returns:
        (n, 3, 3) float64, of determinant 1 or -1.
    """
    change = reduce_cells(cell)
    metric = (change @ cell) @ (change @ cell).mT
    length = metric.diagonal(dim1=1, dim2=2).sqrt()
    cosines = metric / (length[:, :, None] * length[:, None, :])
    first, second, third = (
        torch.where(cosines[:, i, j].abs() < _RIGHT, 0.0, cosines[:, i, j].sign())
        for i, j in ((0, 1), (0, 2), (1, 2))
    )
    acute = first * second * third > 0.0
    # signs of the second and the third vector; a right angle leaves a choice
    to_second, to_third = _sign(-first), _sign(-second)
    to_second = torch.where((first == 0.0) & (third != 0.0), -third * to_third, to_second)
    to_third = torch.where((second == 0.0) & (third != 0.0), -third * to_second, to_third)
    signs = torch.stack(
        [torch.ones_like(first), torch.where(acute, first, to_second), torch.where(acute, second, to_third)],
        dim=1,
    )
    return change * signs[:, :, None]


def in_learned_cells(structures: StructureBatch) -> StructureBatch:
    """The same crystals in the cells of :func:`learned_basis`, coordinates in [0, 1), no space group claimed."""
    change = learned_basis(structures.cell)
    inverse = torch.linalg.inv(change).round()[structures.structure_index]
    return replace(
        structures,
        cell=change @ structures.cell,
        fractional=wrapped((structures.fractional[:, :, None] * inverse).sum(1)),
        space_group=torch.zeros_like(structures.space_group),
    )


def _sign(values: Tensor) -> Tensor:
    return torch.where(values < 0.0, -1.0, 1.0).to(values.dtype)
