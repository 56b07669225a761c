"""Operations of the groups modulo their primitive lattices as tensors, and which of an atom's images coincide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.crystallography.cells import primitive_basis
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.crystallography.wyckoff import group_operations
from gflownet_crystal.structures.reduction import reduce_cells

MOST_OPERATIONS = 48
"""Operations of a group modulo its primitive lattice, at most: the order of the largest point group."""


@dataclass(frozen=True)
class GroupTables(CopiedToDevice):
    """One operation of each coset of the primitive lattice, for each group; row 0 is not used, missing ones are 0.

    Attributes:
        rotation: (231, 48, 3, 3) float64, of fractional coordinates of the conventional cell; the first is 1.
        inverse: (231, 48, 3, 3) float64, their inverses.
        translation: (231, 48, 3) float64.
        order: (231,) int64, number of operations.
        quotient: (231, 48, 48) int64, at [g, h, k] the operation whose rotation is that of h^-1 k.
    """

    rotation: Tensor
    inverse: Tensor
    translation: Tensor
    order: Tensor
    quotient: Tensor


@cache
def group_tables() -> GroupTables:
    """The tables on the CPU, made once (0.2 s)."""
    shape = (N_SPACE_GROUPS + 1, MOST_OPERATIONS)
    rotation, inverse = np.zeros((*shape, 3, 3)), np.zeros((*shape, 3, 3))
    translation = np.zeros((*shape, 3))
    order = np.zeros(N_SPACE_GROUPS + 1, dtype=np.int64)
    quotient = np.zeros((*shape, MOST_OPERATIONS), dtype=np.int64)
    for group in range(1, N_SPACE_GROUPS + 1):
        operations = group_operations(group)
        keys = _keys(operations[:, :, :3])
        # operations with one rotation differ by a lattice vector of the primitive cell
        first = np.sort(np.unique(keys, return_index=True)[1])
        n = len(first)
        turns, known = operations[first, :, :3], keys[first]
        undone = np.rint(np.linalg.inv(turns))
        rotation[group, :n], inverse[group, :n] = turns, undone
        translation[group, :n], order[group] = operations[first, :, 3], n
        products = _keys(undone[:, None] @ turns[None])
        place = known.argsort()
        quotient[group, :n, :n] = place[np.searchsorted(known[place], products)]
    arrays = (rotation, inverse, translation, order, quotient)
    return GroupTables(*(torch.from_numpy(array) for array in arrays))


def _keys(rotations: NDArray[np.float64]) -> NDArray[np.int64]:
    """One whole number a rotation matrix, whose entries are -1, 0 and 1."""
    digits = np.rint(rotations).astype(np.int64).reshape(*rotations.shape[:-2], 9) + 1
    keys: NDArray[np.int64] = digits @ 3 ** np.arange(9)
    return keys


@dataclass(frozen=True)
class SiteSymmetry:
    """N sites of n structures, and the operations of their groups modulo the primitive lattices.

    All that is here follows from groups and sizes, and from the choice of a basis; positions and lattice may move.

    Attributes:
        rotation: (n, 48, 3, 3) float64, of fractional coordinates of the conventional cells.
        inverse: (n, 48, 3, 3) float64.
        translation: (n, 48, 3) float64.
        exists: (n, 48) bool, as groups have up to 48.
        quotient: (n, 48, 48) int64, see :class:`GroupTables`.
        basis: (n, 3, 3) float64, short vectors of the primitive lattice in units of the conventional vectors.
        to_basis: (n, 3, 3) float64, its inverse: fractional coordinates @ to_basis are those in the short vectors.
        structure_index: (N,) int64, the structure of each site, not decreasing.
    """

    rotation: Tensor
    inverse: Tensor
    translation: Tensor
    exists: Tensor
    quotient: Tensor
    basis: Tensor
    to_basis: Tensor
    structure_index: Tensor

    @classmethod
    def of(cls, cell: Tensor, space_group: Tensor, structure_index: Tensor) -> SiteSymmetry:
        """From conventional cells (n, 3, 3), Å, groups (n,), and the structure of each site (N,)."""
        tables = on_device(group_tables(), cell.device)
        primitive = primitive_basis(space_group)
        basis = reduce_cells(primitive @ cell) @ primitive
        order = tables.order[space_group]
        return cls(
            tables.rotation[space_group],
            tables.inverse[space_group],
            tables.translation[space_group],
            torch.arange(MOST_OPERATIONS, device=cell.device) < order[:, None],
            tables.quotient[space_group],
            basis,
            torch.linalg.inv(basis),
            structure_index,
        )

    def images(self, fractional: Tensor) -> Tensor:
        """All images of each site, not wrapped, (N, 3) -> (N, 48, 3)."""
        rotated = torch.einsum("nhij,nj->nhi", self.rotation[self.structure_index], fractional)
        return rotated + self.translation[self.structure_index]

    def coincidences(self, fractional: Tensor, cell: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
        """Which operations take a site to itself, or so near.

        Args:
            fractional: (N, 3).
            cell: (n, 3, 3) conventional, Å.
            tolerance: Å; well below half the distance of lattice planes.

        Returns:
            (N, 48) bool, and the vectors that lead there, (N, 48, 3) fractional.
        """
        owner = self.structure_index
        difference = self.images(fractional) - fractional[:, None]
        in_basis = difference @ self.to_basis[owner]
        nearest = (in_basis - in_basis.round()) @ self.basis[owner]
        squared = (nearest @ cell[owner]).square().sum(2)
        return (squared < tolerance**2) & self.exists[owner], nearest

    def merged(self, fractional: Tensor, cell: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
        """Sites whose images are nearer than ``tolerance`` moved to the middle of these, and the images that remain.

        Args:
            fractional: (N, 3).
            cell: (n, 3, 3) conventional, Å.
            tolerance: Å.

        Returns:
            (N, 3) fractional, and (N, 48) bool: the first of each set of images that coincide.
        """
        near, way = self.coincidences(fractional, cell, tolerance)
        middle = fractional + (way * near[:, :, None]).sum(1) / near.sum(1)[:, None]
        again = self.coincidences(middle, cell, tolerance)[0]
        return middle, self.first_of_coinciding(again)

    def first_of_coinciding(self, stabiliser: Tensor) -> Tensor:
        """The first image of each set, (N, 48) bool, by the operations that leave a site where it is, (N, 48) bool."""
        owner = self.structure_index
        quotient = self.quotient[owner].flatten(1)
        # images h and k coincide if h^-1 k is among them
        same = stabiliser.gather(1, quotient).unflatten(1, (MOST_OPERATIONS, MOST_OPERATIONS))
        earlier = torch.ones_like(same).triu(1)
        return ~(same & earlier & self.exists[owner][:, :, None]).any(1) & self.exists[owner]

    def projectors(self, stabiliser: Tensor, cell: Tensor) -> Tensor:
        """Mean rotation of the operations that leave each site where it is, for row vectors in Å, (N, 3, 3).

        As rotations are orthogonal in a lattice that has the symmetry, the mean projects orthogonally onto the
        directions that are free.
        """
        owner = self.structure_index
        turns = cartesian_rotations(self.rotation, cell)[owner]
        counts = stabiliser.sum(1)[:, None, None]
        return (turns * stabiliser[:, :, None, None]).sum(1) / counts


def cartesian_rotations(rotation: Tensor, cell: Tensor) -> Tensor:
    """Rotations of row vectors in Å: (n, h, 3, 3) of fractional columns and (n, 3, 3) cells -> (n, h, 3, 3)."""
    inverse = torch.linalg.inv(cell)
    return inverse[:, None] @ rotation.mT @ cell[:, None]
