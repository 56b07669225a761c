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
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.structure import StructureBatch

TOLERANCE = 1e-3
"""Largest difference of the coordinates of an atom and its copies, in units of the primitive lattice vectors."""

_PAIRS = 1_000_000
"""Pairs of atoms compared at once; bounds the memory."""

# cells are told apart from a general point, so that no atom on a special position lies on their border
_GENERAL = (0.01234567, 0.03456789, 0.07891234)


def to_primitive(structures: StructureBatch) -> StructureBatch:
    """One atom of each set that centring translations make of each other, in the primitive cell.

    Structures that claim no group, and such as lack the translations of their group within ``TOLERANCE``, stay as they
    are; among these are rows of data files that name the group of a crystal beside a primitive cell.

    Args:
        structures: n structures, in the ITA setting of their group where they claim one.

    Returns:
        n structures; those that were changed claim no group, as their cell is no longer in its setting.
    """
    points = lattice_points(structures.space_group.clamp(min=1)).where(structures.space_group > 0, 1)
    group = structures.space_group.clamp(min=1)[structures.structure_index]
    primitive = to_primitive_fractional(structures.fractional, group)
    kept = _is_first(structures.fractional, group)
    changed = (points > 1) & _is_complete(structures, primitive, kept, points)
    mine = changed[structures.structure_index]
    kept |= ~mine
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


def _is_complete(structures: StructureBatch, primitive: Tensor, kept: Tensor, points: Tensor) -> Tensor:
    """Structures, (n,) bool, made of kept atoms and their copies by the centring translations.

    Args:
        structures: n structures with N atoms.
        primitive: (N, 3) fractional coordinates in the primitive cells, where copies differ by whole numbers.
        kept: (N,) bool.
        points: (n,) int64, lattice points in the cells.
    """
    owner, n_atoms = structures.structure_index, structures.n_atoms
    first = n_atoms.cumsum(0) - n_atoms
    n_kept = torch.zeros_like(n_atoms).index_add_(0, owner, kept.long())
    whole = n_kept * points == n_atoms
    centred = (whole & (points > 1)).nonzero()[:, 0]
    for some in cut_by_atoms(centred, n_kept * n_atoms, _PAIRS):
        chosen = torch.zeros_like(whole)
        chosen[some] = True
        atoms = (kept & chosen[owner]).nonzero()[:, 0]
        place, other = expand(first[owner[atoms]], n_atoms[owner[atoms]])
        difference = primitive[atoms[place]] - primitive[other]
        is_copy = ((difference - difference.round()).abs() <= TOLERANCE).all(dim=1)
        is_copy &= structures.atomic_numbers[atoms[place]] == structures.atomic_numbers[other]
        n_copies = torch.zeros_like(atoms).index_add_(0, place, is_copy.long())
        whole[owner[atoms][n_copies != points[owner[atoms]]]] = False
    return whole
