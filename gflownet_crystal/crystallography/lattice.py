"""Lattice parameters: matrix, volume, when angles close a cell, and which are free in a lattice system.

Lengths in Å, angles in degrees, both (..., 3) in the orders (a, b, c) and (alpha, beta, gamma); six parameters together
are (a, b, c, alpha, beta, gamma). Rows of a matrix are lattice vectors. Everything is float64 and batched.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device

FREE_PARAMETERS = torch.tensor(
    [
        [True, True, True, True, True, True],
        [True, True, True, False, True, False],
        [True, True, True, False, False, False],
        [True, False, True, False, False, False],
        [True, False, True, False, False, False],
        [True, False, False, False, False, False],
    ]
)
"""(6, 6) bool: free parameters (columns a, b, c, alpha, beta, gamma) by lattice system (rows, as LATTICE_SYSTEMS)."""

SOURCE_PARAMETER = torch.tensor(
    [
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
        [0, 0, 2, 3, 4, 5],
        [0, 0, 2, 3, 4, 5],
        [0, 0, 0, 3, 4, 5],
    ]
)
"""(6, 6) int64: the parameter that each one equals; itself unless a length must equal an earlier one."""

FIXED_ANGLES = torch.tensor(
    [
        [math.nan, math.nan, math.nan],
        [90.0, math.nan, 90.0],
        [90.0, 90.0, 90.0],
        [90.0, 90.0, 90.0],
        [90.0, 90.0, 120.0],
        [90.0, 90.0, 90.0],
    ],
    dtype=torch.float64,
)
"""(6, 3) float64 degrees: the value that the lattice system fixes, NaN where the angle is free."""


def complete_parameters(lattice_system: Tensor, parameters: Tensor) -> Tensor:
    """Parameters (n, 6) whose dependent ones follow from the free ones, so that they obey the lattice system exactly.

    Args:
        lattice_system: (n,) int64 index into LATTICE_SYSTEMS.
        parameters: (n, 6) lengths and angles; only those free in the row's lattice system are read.
    """
    device = parameters.device
    copied = parameters.gather(1, on_device(SOURCE_PARAMETER, device)[lattice_system])
    fixed = on_device(FIXED_ANGLES, device).to(parameters.dtype)[lattice_system]
    angles = torch.where(fixed.isnan(), copied[:, 3:], fixed)
    return torch.cat([copied[:, :3], angles], dim=1)


def closure(angles: Tensor) -> Tensor:
    """Squared volume of the cell with unit edges, det of its metric tensor, (..., 3) -> (...).

    Positive exactly where the angles close a cell, provided that each lies in (0, 180).
    """
    cosines = torch.cos(torch.deg2rad(angles))
    return 1.0 - cosines.square().sum(dim=-1) + 2.0 * cosines.prod(dim=-1)


def is_closed(angles: Tensor) -> Tensor:
    """Whether three angles belong to a cell with a volume, (..., 3) -> (...) bool."""
    return ((angles > 0.0) & (angles < 180.0)).all(dim=-1) & (closure(angles) > 0.0)


def is_possible(lengths: Tensor, angles: Tensor) -> Tensor:
    """Whether lengths are finite and above 0 and angles in (0, 180), (..., 3) and (..., 3) -> (...) bool.

    The cosine of an angle hides its sign, so that the matrix of impossible parameters looks like a cell.
    """
    return ((lengths > 0.0) & lengths.isfinite() & (angles > 0.0) & (angles < 180.0)).all(dim=-1)


def volume(lengths: Tensor, angles: Tensor) -> Tensor:
    """Cell volume in Å^3, (..., 3) and (..., 3) -> (...); NaN where the angles do not close a cell."""
    return lengths.prod(dim=-1) * closure(angles).sqrt()


def parameters_to_matrix(lengths: Tensor, angles: Tensor) -> Tensor:
    """Lattice vectors as rows, with a along x and b in the xy plane.

    Args:
        lengths: (..., 3) Å.
        angles: (..., 3) degrees.

    Returns:
        (..., 3, 3) Å, determinant positive; NaN where the angles do not close a cell.
    """
    cos_alpha, cos_beta, cos_gamma = torch.cos(torch.deg2rad(angles)).unbind(dim=-1)
    sin_gamma = torch.sin(torch.deg2rad(angles[..., 2]))
    zero, one = torch.zeros_like(sin_gamma), torch.ones_like(sin_gamma)
    directions = torch.stack(
        [
            torch.stack([one, zero, zero], dim=-1),
            torch.stack([cos_gamma, sin_gamma, zero], dim=-1),
            torch.stack(
                [
                    cos_beta,
                    (cos_alpha - cos_beta * cos_gamma) / sin_gamma,
                    closure(angles).sqrt() / sin_gamma,
                ],
                dim=-1,
            ),
        ],
        dim=-2,
    )
    return lengths.unsqueeze(-1) * directions


def matrix_to_parameters(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (..., 3) in Å and angles (..., 3) in degrees of lattice vectors given as rows, (..., 3, 3)."""
    lengths = matrix.norm(dim=-1)
    following, last = matrix[..., [1, 2, 0], :], matrix[..., [2, 0, 1], :]
    # atan2 keeps its precision where the arc cosine loses it, near 0 and 180 degrees
    sines = torch.linalg.cross(following, last).norm(dim=-1)
    angles = torch.rad2deg(torch.atan2(sines, (following * last).sum(dim=-1)))
    return lengths, angles
