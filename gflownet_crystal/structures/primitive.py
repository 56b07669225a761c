"""Primitive cells of structures in the ITA setting of their group: the same crystals with fewer atoms."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.crystallography.cells import (
    lattice_points,
    primitive_basis,
    to_primitive_cell,
    to_primitive_fractional,
)
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch

# cells are told apart from a general point, so that no atom on a special position lies on their border
_GENERAL = (0.01234567, 0.03456789, 0.07891234)


def to_primitive(structures: StructureBatch) -> StructureBatch:
    """One atom of each set that centring translations make of each other, in the primitive cell.

    Structures that claim no group, and such as lack the translations of their group, stay as they are.

    Args:
        structures: n structures, in the ITA setting of their group where they claim one.

    Returns:
        n structures; those that were changed claim no group, as their cell is no longer in its setting.
    """
    points = lattice_points(structures.space_group.clamp(min=1)).where(structures.space_group > 0, 1)
    group = structures.space_group.clamp(min=1)[structures.structure_index]
    kept = _is_first(structures.fractional, group) | (points[structures.structure_index] == 1)
    complete = (_counts(structures, kept) * points[:, None] == _counts(structures, kept | True)).all(1)
    changed = complete & (points > 1)
    mine = changed[structures.structure_index]
    kept |= ~mine
    primitive = to_primitive_fractional(structures.fractional, group)
    return StructureBatch(
        torch.where(
            changed[:, None, None],
            to_primitive_cell(structures.cell, structures.space_group.clamp(min=1)),
            structures.cell,
        ),
        structures.atomic_numbers[kept],
        torch.where(mine[:, None], primitive, structures.fractional)[kept],
        structures.structure_index[kept],
        structures.space_group.where(~changed, 0),
    )


def _is_first(fractional: Tensor, group: Tensor) -> Tensor:
    """Atoms (N,) whose primitive cell is that of the origin, or differs from it by conventional lattice vectors."""
    basis = primitive_basis(group)
    shifted = fractional - fractional.new_tensor(_GENERAL)
    # the primitive cell of each atom, and where its corner lies in the conventional one
    cells = (shifted[:, :, None] * torch.linalg.inv(basis)).sum(1).floor()
    corner = (cells[:, :, None] * basis).sum(1)
    return ((corner - corner.round()).abs() < 1e-6).all(1)


def _counts(structures: StructureBatch, chosen: Tensor) -> Tensor:
    """Chosen atoms of each element, (n, 119) int64."""
    place = structures.structure_index * N_ATOMIC_NUMBERS + structures.atomic_numbers
    flat = torch.bincount(place[chosen], minlength=len(structures) * N_ATOMIC_NUMBERS)
    return flat.reshape(len(structures), N_ATOMIC_NUMBERS)
