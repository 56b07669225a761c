"""Displacements of atoms and changes of cells."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.structures.structure import StructureBatch


def changes(before: StructureBatch, after: StructureBatch) -> dict[str, float]:
    """Changes between two states of one crystal, with the same atoms in the same order.

    Returns:
        ``volume_change``, relative; ``length_change`` (relative) and ``angle_change`` (degrees), the largest of a cell
        parameter; ``max_strain``; ``rms_displacement`` and ``max_displacement`` in Å.
    """
    lengths, angles = zip(*(matrix_to_parameters(one.cell) for one in (before, after)), strict=True)
    return {
        "volume_change": float(after.volume[0] / before.volume[0]) - 1.0,
        "length_change": float((lengths[1] / lengths[0] - 1.0).abs().max()),
        "angle_change": float((angles[1] - angles[0]).abs().max()),
        "max_strain": max_strain(before.cell[0].numpy(), after.cell[0].numpy()),
        "rms_displacement": rms_displacement(before, after),
        "max_displacement": float(displacements(before, after).max()),
    }


def max_strain(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Largest relative change in length of a direction between two cells (3, 3), whatever their rotation."""
    deformation = np.linalg.solve(before, after)
    return float(np.abs(np.linalg.svd(deformation, compute_uv=False) - 1.0).max())


def rms_displacement(before: StructureBatch, after: StructureBatch) -> float:
    """Root mean square of :func:`displacements`, Å."""
    return float(displacements(before, after).square().mean().sqrt())


def displacements(before: StructureBatch, after: StructureBatch) -> Tensor:
    """Displacement of each atom in Å, (N,) float64, without the cell's strain and a common shift.

    Args:
        before: one structure.
        after: the same atoms in the same order.
    """
    moved = after.fractional - before.fractional
    moved = moved - moved[0]
    moved = moved - moved.round()
    moved = moved - moved.mean(0)
    return torch.linalg.norm(moved @ after.cell[0], dim=1)
