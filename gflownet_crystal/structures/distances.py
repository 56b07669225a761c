"""Shortest distances in periodic cells, however skewed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from moyopy import minkowski_reduce
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.structures.elements import COVALENT_RADII
from gflownet_crystal.structures.structure import StructureBatch

# in a Minkowski-reduced basis the nearest image of a wrapped difference is one of these 27
_OFFSETS = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=3)), dtype=torch.float64)
_SMALLEST_SQUARE = 1e-12
_COVALENT_RADII = torch.from_numpy(COVALENT_RADII)


@dataclass(frozen=True)
class PeriodicLattice:
    """One lattice, prepared for nearest images.

    Attributes:
        to_reduced: (3, 3) float64; fractional coordinates @ to_reduced are those in the reduced basis.
        basis: (3, 3) float64, Minkowski-reduced lattice vectors as rows, Å.
        shortest: length of the shortest lattice vector, A: how far an atom is from its own images.
    """

    to_reduced: Tensor
    basis: Tensor
    shortest: float

    @classmethod
    def of(cls, cell: Tensor) -> PeriodicLattice:
        """Prepare a cell, (3, 3) lattice vectors as rows, Å."""
        basis, transformation = minkowski_reduce(cell.tolist())
        # basis = transformation.T @ cell, so a row vector of coordinates changes by the inverse of transformation.T
        inverse = np.linalg.inv(np.array(transformation, dtype=np.float64).T)
        reduced = torch.tensor(basis, dtype=torch.float64, device=cell.device)
        vectors = _OFFSETS.to(cell.device) @ reduced
        lengths = vectors.norm(dim=1)
        shortest = lengths[lengths > 0].min().item()
        return cls(torch.from_numpy(np.round(inverse)).to(cell.device), reduced, shortest)

    def distances(self, difference: Tensor) -> Tensor:
        """Distances to the nearest image.

        Args:
            difference: (..., 3) differences of fractional coordinates.

        Returns:
            (...) Å, at least 1e-6; differentiable, with slope zero at zero.
        """
        wrapped = difference @ self.to_reduced
        wrapped = wrapped - wrapped.detach().round()
        vectors = wrapped @ self.basis
        offsets = _OFFSETS.to(difference) @ self.basis
        # |v + o|^2 = |v|^2 + 2 v.o + |o|^2, one matrix product for all images
        nearest = (2 * vectors @ offsets.T + offsets.square().sum(1)).amin(-1)
        # the floor keeps the slope of the root finite where an atom meets itself
        return (vectors.square().sum(-1) + nearest).clamp(min=_SMALLEST_SQUARE).sqrt()


def covalent_radii(atomic_numbers: Tensor) -> Tensor:
    """Covalent radii in Å, float64, of the same shape as ``atomic_numbers``."""
    return on_device(_COVALENT_RADII, atomic_numbers.device)[atomic_numbers]


def shortest_distance_ratio(structures: StructureBatch) -> Tensor:
    """Shortest interatomic distance over the sum of the two covalent radii.

    Periodic images count, those of the atom itself too.

    Args:
        structures: n structures in any cell.

    Returns:
        (n,) float64; about 0.8 to 1.2 in real crystals.
    """
    return _smallest(structures, covalent_radii(structures.atomic_numbers))


def shortest_distance(structures: StructureBatch) -> Tensor:
    """Shortest interatomic distance, those between periodic images included, (n,) float64, Å.

    Args:
        structures: n structures in any cell.
    """
    return _smallest(structures, torch.full_like(structures.fractional[:, 0], 0.5))


def _smallest(structures: StructureBatch, radii: Tensor) -> Tensor:
    """The smallest distance over the sum of the two radii, of each structure; radii (N,)."""
    sizes = structures.n_atoms.tolist()
    rows = zip(structures.cell, structures.fractional.split(sizes), radii.split(sizes), strict=True)
    found = [_ratio(cell, points, radius) for cell, points, radius in rows]
    return torch.stack(found) if found else radii.new_zeros(0)


def _ratio(cell: Tensor, points: Tensor, radii: Tensor) -> Tensor:
    lattice = PeriodicLattice.of(cell)
    distances = lattice.distances(points[:, None] - points).fill_diagonal_(lattice.shortest)
    return (distances / (radii[:, None] + radii)).min()
