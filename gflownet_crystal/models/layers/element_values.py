"""Values of the elements whose means over atoms come nearest to a property of crystals."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch

_RIDGE = 1e-3
_LEAST_VOLUME = 1.0


def fitted_values(structures: StructureBatch, values: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression of a property per atom on the composition.

    Args:
        structures: n structures.
        values: (n,) float64.

    Returns:
        (119,) float64 by atomic number, 0 for elements that do not occur; (n,) residuals.
    """
    composition = structures.composition.double()
    fractions = composition / composition.sum(1, keepdim=True)
    normal = fractions.T @ fractions + _RIDGE * torch.eye(N_ATOMIC_NUMBERS, dtype=torch.float64)
    fitted = torch.linalg.solve(normal, fractions.T @ values)
    return fitted, values - fractions @ fitted


def fitted_volumes(structures: StructureBatch) -> Tensor:
    """Volumes whose sums over atoms are the volumes of cells, as far as that goes, (119,) float64, Å^3.

    Elements that do not occur get the mean.
    """
    volume = structures.volume / structures.n_atoms
    fitted, _ = fitted_values(structures, volume - volume.mean())
    return (fitted + volume.mean()).clamp(min=_LEAST_VOLUME)
