"""Coordinates of the relaxation of many crystals at once: displacements of atoms, and strains of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Coordinates:
    """n crystals with N atoms, each with at most f coordinates; those that a crystal lacks move nothing.

    Attributes:
        start: crystals at coordinates of zero.
        displacements: (N, 3, f) float64, displacements of the atoms by each coordinate, Å, before the strain.
        strains: (n, 3, 3, f) float64, symmetric strains of the cells by each coordinate.
    """

    start: StructureBatch
    displacements: Tensor
    strains: Tensor

    @classmethod
    def cat(cls, batches: list[Self]) -> Self:
        """The crystals of all batches one after the other."""
        most = max(batch.strains.shape[-1] for batch in batches)
        return cls(
            StructureBatch.cat([batch.start for batch in batches]),
            torch.cat([_widened(batch.displacements, most) for batch in batches]),
            torch.cat([_widened(batch.strains, most) for batch in batches]),
        )

    def select(self, rows: Tensor) -> Self:
        """The crystals of a mask, (n,) bool."""
        return type(self)(
            self.start[rows], self.displacements[rows[self.start.structure_index]], self.strains[rows]
        )

    @property
    def n_coordinates(self) -> int:
        """Number f of coordinates."""
        return int(self.strains.shape[-1])

    def structures(self, values: Tensor) -> StructureBatch:
        """The crystals at coordinates (n, f)."""
        start = self.start
        strain = torch.einsum("nijf,nf->nij", self.strains, values)
        moved = torch.einsum("aif,af->ai", self.displacements, values[start.structure_index])
        inverse = torch.linalg.inv(start.cell)[start.structure_index]
        fractional = start.fractional + torch.einsum("ai,aij->aj", moved, inverse)
        return StructureBatch(
            start.cell + start.cell @ strain,
            start.atomic_numbers,
            fractional,
            start.structure_index,
            start.space_group,
        )

    def slopes(self, values: Tensor, forces: Tensor, virials: Tensor) -> Tensor:
        """Derivatives of the energies by the coordinates.

        Args:
            values: (n, f) coordinates.
            forces: (N, 3) eV/Å.
            virials: (n, 3, 3) eV, stress times volume.

        Returns:
            (n, f), eV by the unit of the coordinate.
        """
        deformed = torch.eye(3, dtype=values.dtype) + torch.einsum("nijf,nf->nij", self.strains, values)
        index = self.start.structure_index
        pulled = torch.einsum("ai,aij->aj", forces, deformed[index])
        by_atoms = torch.einsum("ai,aif->af", pulled, self.displacements)
        slopes = torch.einsum("nij,nijf->nf", virials @ torch.linalg.inv(deformed), self.strains)
        return slopes.index_add(0, index, by_atoms, alpha=-1.0)

    def kept(self, forces: Tensor, virials: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of forces (N, 3) and virials (n, 3, 3) that the coordinates can follow."""
        index = self.start.structure_index
        pulls = torch.zeros_like(self.strains[:, 0, 0])
        pulls = pulls.index_add(0, index, torch.einsum("ai,aif->af", forces, self.displacements))
        strained = torch.einsum("nij,nijf->nf", virials, self.strains)
        return (
            torch.einsum("aif,af->ai", self.displacements, pulls[index]),
            torch.einsum("nijf,nf->nij", self.strains, strained),
        )

    def extents(self, step: Tensor) -> Tensor:
        """Largest displacements (n,), Å, by a step (n, f): of an atom, or at ``_STRAIN_REACH`` by the strain."""
        moved = torch.einsum("aif,af->ai", self.displacements, step[self.start.structure_index]).norm(dim=1)
        largest = step.new_zeros(len(step)).scatter_reduce(0, self.start.structure_index, moved, "amax")
        strain = torch.linalg.matrix_norm(torch.einsum("nijf,nf->nij", self.strains, step))
        return torch.maximum(largest, _STRAIN_REACH * strain)


_STRAIN_REACH = 4.0
"""Å; a strain counts as the displacement of an atom so far from a fixed one."""


def _widened(tensor: Tensor, width: int) -> Tensor:
    return pad(tensor, (0, width - tensor.shape[-1]))
