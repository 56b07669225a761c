"""A guess of the second derivatives of a crystal's energy, for the first steps of a relaxation.

Each pair of atoms is a spring whose strength falls with its length in units of the two covalent radii, as in the
preconditioners of Packwood et al. (J. Chem. Phys. 144, 164109, 2016); displacements and strains change their lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.structures.periodic_pairs import PeriodicPoints
from gflownet_crystal.structures.structure import StructureBatch

REACH = 5.0
"""Å; length of the longest spring."""

_STRENGTH, _DECAY = 3.0, 4.0
"""eV/Å^2 of a pair at the sum of its covalent radii, and the rate at which longer ones get weaker."""

_SIDEWAYS = 0.1
"""Share of the strength that acts across the pair."""

_FLOOR = 1.0
"""eV/Å^2 that is added for each atom: coordinates that no spring holds are not free."""

_STRONGEST = 4.0
"""Strength of pairs that are much too near, in units of the one at the sum of the radii."""


def spring_hessian(structure: StructureBatch, displacements: Tensor, strains: Tensor) -> Tensor:
    """Second derivatives of the energy of springs by the coordinates of a relaxation.

    Args:
        structure: one structure with N atoms.
        displacements: (N, 3, f) float64, displacements of the atoms by each coordinate, Å.
        strains: (3, 3, f) float64, strains of the cell by each coordinate.

    Returns:
        (f, f) float64, eV by the squares of the coordinates; positive definite.
    """
    points = PeriodicPoints.of(structure)
    pairs = points.within(torch.full((1,), REACH, dtype=torch.float64))
    pairs = pairs.select(pairs.squared > 0.0)
    ends = structure.fractional[pairs.target] + points.images(pairs) - structure.fractional[pairs.source]
    vectors = ends @ structure.cell[0]
    lengths = vectors.norm(dim=1)
    radii = covalent_radii(structure.atomic_numbers)
    stretch = lengths / (radii[pairs.source] + radii[pairs.target])
    # each pair comes twice
    strength = 0.5 * _STRENGTH * torch.exp(-_DECAY * (stretch - 1.0)).clamp(max=_STRONGEST)
    change = displacements[pairs.target] - displacements[pairs.source]
    change = change + torch.einsum("ei,ijf->ejf", vectors, strains)
    along = torch.einsum("ei,eif->ef", vectors / lengths[:, None], change)
    hessian = (along * (strength * (1.0 - _SIDEWAYS))[:, None]).T @ along
    change = change.flatten(0, 1)
    hessian = hessian + (change * (strength * _SIDEWAYS).repeat_interleave(3)[:, None]).T @ change
    flat = torch.cat([displacements.flatten(0, 1), strains.flatten(0, 1) * len(displacements) ** 0.5])
    return hessian + _FLOOR * flat.T @ flat
