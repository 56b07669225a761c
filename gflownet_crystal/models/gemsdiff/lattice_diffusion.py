"""Lattices as vectors, in which noise can be added: the exponential map of the paper, without rotations.

Klipfel et al., "Vector field oriented diffusion model for crystal material generation", AAAI 2024, section 4.2 and
appendix B. Every cell is a rotation of exactly one cell exp(S) with S symmetric: S = log(L L^T) / 2 for lattice vectors
as rows of L. The rotation says nothing of a crystal, so of the nine basis matrices the three that rotate are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.models.gemsdiff.symmetric import symmetric_function

_SMALLEST, _LARGEST = 1e-6, 1e3

N_COORDINATES = 6
"""Of a lattice: two for axial ratios, three for angles, and the last one for the volume."""


def log_cell(cell: Tensor) -> Tensor:
    """S of cells with a volume, (n, 3, 3) rows in Å -> (n, 3, 3) symmetric, float64; rotating a cell leaves it."""
    return 0.5 * symmetric_function(cell @ cell.mT, lambda squares: squares.clamp(min=_SMALLEST**2).log())


def exp_cell(symmetric: Tensor) -> Tensor:
    """The cell exp(S), (n, 3, 3) symmetric float64 -> (n, 3, 3), Å; its volume is exp(trace S).

    No cell is stretched beyond 1000 Å or squeezed below 0.001 Å, wherever an untrained network leads.
    """
    limit = math.log(_LARGEST)
    return symmetric_function(symmetric, lambda values: values.clamp(-limit, limit).exp())


@dataclass(frozen=True)
class LatticeBasis(CopiedToDevice):
    """A basis of the symmetric matrices; the last is a multiple of the identity, the others have trace 0.

    Attributes:
        matrices: (6, 3, 3) float64, pi_3 to pi_8.
    """

    matrices: Tensor

    @classmethod
    def printed(cls) -> Self:
        """As the paper prints it (appendix B), with pi_8 = 0.25 / sqrt(3) times the identity."""
        return cls(
            torch.stack(
                [
                    *_off_diagonal(),
                    _diagonal(1, -1, 0),
                    _diagonal(0, 1, -1),
                    _diagonal(1, 1, 1) * 0.25 / math.sqrt(3.0),
                ]
            )
        )

    @classmethod
    def orthonormal(cls) -> Self:
        """Orthonormal, as in the authors' code: pi_7 = diag(1, 1, -2) / sqrt(6), pi_8 = identity / sqrt(3)."""
        rows = [*_off_diagonal(), _diagonal(1, -1, 0), _diagonal(1, 1, -2), _diagonal(1, 1, 1)]
        return cls(torch.stack([row / row.norm() for row in rows]))

    def matrix(self, coordinates: Tensor) -> Tensor:
        """The symmetric matrix, (n, 6) -> (n, 3, 3)."""
        return (coordinates[:, :, None, None] * self.matrices.to(coordinates.dtype)).sum(1)

    def coordinates(self, symmetric: Tensor) -> Tensor:
        """Inverse of :meth:`matrix`; of a matrix that is not symmetric, the symmetric part is read."""
        flat = self.matrices.flatten(1)
        dual = torch.linalg.inv_ex(flat @ flat.mT).inverse @ flat
        return (symmetric.flatten(1)[:, None, :] * dual.to(symmetric.dtype)).sum(2)


@dataclass(frozen=True)
class LatticeCoordinates:
    """Coordinates in which lattices are diffused: those in a basis, less a centre, over a scale.

    Attributes:
        basis: basis of the symmetric matrices.
        centre: (6,) float64; the volume's part is on top of the volume that is given.
        scale: (6,) float64.
    """

    basis: LatticeBasis
    centre: Tensor
    scale: Tensor

    def of_cells(self, cell: Tensor, volume: Tensor) -> Tensor:
        """Coordinates of cells, (n, 6) float64.

        Args:
            cell: (n, 3, 3) rows, Å.
            volume: (n,), Å^3, which the volume is measured by.
        """
        return (self.basis.coordinates(log_cell(cell) - _scaled_identity(volume)) - self.centre) / self.scale

    def cells(self, coordinates: Tensor, volume: Tensor) -> Tensor:
        """Inverse of :meth:`of_cells`, up to a rotation of each cell: symmetric cells, (n, 3, 3)."""
        matrix = self.basis.matrix(coordinates * self.scale + self.centre)
        return exp_cell(matrix + _scaled_identity(volume))


def _scaled_identity(volume: Tensor) -> Tensor:
    """log S of the cube of that volume, (n,) -> (n, 3, 3)."""
    return (volume.log() / 3.0)[:, None, None] * torch.eye(3, dtype=volume.dtype, device=volume.device)


def _diagonal(*values: float) -> Tensor:
    return torch.diag(torch.tensor(values, dtype=torch.float64))


def _off_diagonal() -> list[Tensor]:
    pairs = []
    for row, column in ((0, 1), (0, 2), (1, 2)):
        matrix = torch.zeros(3, 3, dtype=torch.float64)
        matrix[row, column] = matrix[column, row] = 1.0
        pairs.append(matrix)
    return pairs
