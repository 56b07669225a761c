"""Sites near special positions moved onto them, and the crystals they make (Sultanov et al., section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.crystallography.cells import CENTRINGS, centring_of_group, centring_translations
from gflownet_crystal.models.langevin.model import COINCIDING, MERGED
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry_images import SiteSymmetry

# images that come near as others are merged are merged in turn; more rounds change nothing
_ROUNDS = 4
_MOST_CENTRED = 4


def merge_and_snap(
    atomic_numbers: Tensor,
    fractional: Tensor,
    structure_index: Tensor,
    cell: Tensor,
    space_group: Tensor,
    tolerance: float = MERGED,
) -> StructureBatch:
    """Crystals of sites whose images nearer than ``tolerance`` to each other are one atom, at their middle.

    Args:
        atomic_numbers: (N,) int64 of the sites.
        fractional: (N, 3) float64 in the conventional cell.
        structure_index: (N,) int64, not decreasing.
        cell: (n, 3, 3) float64 conventional, Å, that obey their group.
        space_group: (n,) int64.
        tolerance: Å.

    Returns:
        n structures with the symmetry of their groups; how many atoms they have follows from where the sites are.
    """
    symmetry = SiteSymmetry.of(cell, space_group, structure_index)
    for _ in range(_ROUNDS):
        fractional = symmetry.merged(fractional, cell, tolerance)[0]
    # sites between two special positions may have been drawn to neither: only sites that coincide are one atom
    fractional, kept = symmetry.merged(fractional, cell, COINCIDING)
    return conventional_atoms(symmetry, atomic_numbers, fractional, kept, cell, space_group)


def conventional_atoms(
    symmetry: SiteSymmetry,
    atomic_numbers: Tensor,
    fractional: Tensor,
    images: Tensor,
    cell: Tensor,
    space_group: Tensor,
) -> StructureBatch:
    """All atoms of the conventional cells.

    Args:
        symmetry: symmetry of the N sites.
        atomic_numbers: (N,) int64.
        fractional: (N, 3) float64.
        images: (N, 48) bool, those that are different atoms.
        cell: (n, 3, 3) conventional, Å.
        space_group: (n,) int64.
    """
    shifts, exists = _centrings(cell.device)
    centring = centring_of_group.to(cell.device)[space_group][symmetry.structure_index]
    points = symmetry.images(fractional)[:, :, None] + shifts[centring][:, None]
    chosen = images[:, :, None] & exists[centring][:, None]
    site = chosen.nonzero()[:, 0]
    points = torch.remainder(points[chosen], 1.0)
    # the remainder of a tiny negative number rounds to 1.0
    points = points.where(points < 1.0, 0.0)
    return StructureBatch(cell, atomic_numbers[site], points, symmetry.structure_index[site], space_group)


def _centrings(device: torch.device) -> tuple[Tensor, Tensor]:
    """Centring translations of each centring, (6, 4, 3), and which exist, (6, 4) bool."""
    shifts = torch.zeros(len(CENTRINGS), _MOST_CENTRED, 3, dtype=torch.float64)
    exists = torch.zeros(len(CENTRINGS), _MOST_CENTRED, dtype=torch.bool)
    for row, name in enumerate(CENTRINGS):
        own = centring_translations(name)
        shifts[row, : len(own)], exists[row, : len(own)] = own, True
    return shifts.to(device), exists.to(device)
