"""Mean volumes of the elements in crystals, by regression."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch

_RIDGE = 1e-3
_LEAST_VOLUME = 1.0


def fitted_volumes(structures: StructureBatch) -> Tensor:
    """Volumes whose sums over atoms are the volumes of cells, as far as that goes, (119,) float64, A^3.

    Ridge regression on volumes per atom; elements that do not occur get the mean.
    """
    composition = structures.composition.double()
    fractions = composition / composition.sum(1, keepdim=True)
    volume = structures.volume / structures.n_atoms
    normal = fractions.T @ fractions + _RIDGE * torch.eye(N_ATOMIC_NUMBERS, dtype=torch.float64)
    fitted = torch.linalg.solve(normal, fractions.T @ (volume - volume.mean())) + volume.mean()
    return fitted.clamp(min=_LEAST_VOLUME)
