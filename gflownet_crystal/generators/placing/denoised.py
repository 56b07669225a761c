"""Generated crystals made again by a denoiser, which has learned the distances of atoms in known crystals."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.models.denoiser import CLOSEST, Denoiser, in_unit_cubes
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch


def denoised(structures: StructureBatch, denoiser: Denoiser, min_distance: float) -> StructureBatch:
    """Make crystals again from their fractional positions.

    Args:
        structures: n structures on the denoiser's device.
        denoiser: denoiser of lattices, and of positions or not.
        min_distance: Å; a crystal with atoms closer than this is not taken.

    Returns:
        The same atoms in the same order without space groups. A crystal stays as it was where the denoiser has not
        learned one of its elements, cannot read it, or makes one whose atoms are too close.
    """
    rows = _readable(structures, denoiser).nonzero()[:, 0]
    if not len(rows):
        return structures
    made = denoiser.denoised(structures[rows])
    good = usable(made, min_distance)
    chosen = torch.zeros(len(structures), dtype=torch.bool, device=structures.device)
    chosen[rows] = good
    cell, fractional = structures.cell.clone(), structures.fractional.clone()
    cell[chosen] = made.cell[good]
    fractional[chosen[structures.structure_index]] = made.fractional[good[made.structure_index]]
    return replace(structures, cell=cell, fractional=fractional)


def _readable(structures: StructureBatch, denoiser: Denoiser) -> Tensor:
    """Structures of learned elements whose atoms are apart in a cube, (n,) bool."""
    unknown = structures.composition[:, ~denoiser.learned_elements]
    return usable(in_unit_cubes(structures), CLOSEST) & (unknown == 0).all(1)
