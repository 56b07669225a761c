"""Wyckoff positions as affine subspaces: membership of points, their free parameters, and allowed displacements.

An operation [R | t] of a position takes free parameters x to the fractional coordinates R x + t. In oblique axes the
nearest point of a flat is not found by R's pseudo-inverse: distances are measured by the metric of the lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from math import gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.crystallography.wyckoff import DENOMINATOR, wyckoff_table

_SMALL_VECTORS = sorted(product((-2, -1, 0, 1, 2), repeat=3), key=lambda v: sum(map(abs, v)))


@dataclass(frozen=True)
class SiteFlats(CopiedToDevice):
    """The flats of all operations of all positions, M in all, in the order of the Wyckoff table.

    Attributes:
        rotation: (M, 3, 3) float64, R.
        translation: (M, 3) float64, t.
        checks: (M, 3, 3) float64 whole numbers; a point p is on the flat, modulo lattice translations, where
            checks @ (p - t) is whole. As many rows as R lacks in rank, the rest zero.
        lift: (M, 3, 3) float64 whole numbers, a right inverse of the checks.
        inverse: (M, 3, 3) float64, left inverse of R on the coordinates that it reads; zero rows for the others.
    """

    rotation: Tensor
    translation: Tensor
    checks: Tensor
    lift: Tensor
    inverse: Tensor

    def parameters(self, points: Tensor, operation: Tensor) -> tuple[Tensor, Tensor]:
        """Free parameters with which operations make points, and the residuals.

        Args:
            points: (P, 3) float64 fractional coordinates.
            operation: (P,) int64.

        Returns:
            Parameters (P, 3), not wrapped, zero for parameters that the position does not have; and the difference of
            each point from the position at these parameters, (P, 3) fractional, zero if the point lies on it.
        """
        checks = self.checks[operation]
        difference = points - self.translation[operation]
        steps = torch.einsum("pij,pj->pi", checks, difference).round()
        difference = difference - torch.einsum("pij,pj->pi", self.lift[operation], steps)
        parameters = torch.einsum("pij,pj->pi", self.inverse[operation], difference)
        made = torch.einsum("pij,pj->pi", self.rotation[operation], parameters)
        return parameters, difference - made


@cache
def site_flats() -> SiteFlats:
    """The flats on the CPU, made once."""
    operations = wyckoff_table().operations
    rotation = operations[:, :, :3] // DENOMINATOR
    distinct, inverse = np.unique(rotation.reshape(-1, 9), axis=0, return_inverse=True)
    flats = [_flat(one.reshape(3, 3).astype(np.int64)) for one in distinct]
    checks, lift, left = (np.stack(arrays)[inverse.ravel()] for arrays in zip(*flats, strict=True))
    translation = operations[:, :, 3] / DENOMINATOR
    return SiteFlats(
        *(torch.from_numpy(array).double() for array in (rotation, translation, checks, lift, left))
    )


def site_projectors(cell: Tensor, rotation: Tensor) -> Tensor:
    """Projectors of displacements of atoms on the free parameters of their sites, in the metric of the lattice.

    Least squares: P d = argmin over x of |(R x - d) cell|, so (R' G R)^-1 R' G with G = cell cell' on the coordinates
    that R reads. R P is the orthogonal projector on the flat, written in oblique axes.

    Args:
        cell: (P, 3, 3), lattice vectors as rows, Å.
        rotation: (P, 3, 3), R of the operation that makes each atom.

    Returns:
        (P, 3, 3), from a fractional displacement (column) to the change of x, y, z; zero rows for those not read.
    """
    read = (rotation != 0).any(dim=-2)
    metric = cell @ cell.mT
    weighted = rotation.mT @ metric
    # coordinates that are not read get a unit equation of their own, scaled like the others
    scale = metric.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None]
    unread = torch.diag_embed(torch.where(read, 0.0, scale))
    return torch.linalg.solve(weighted @ rotation + unread, weighted)


def _flat(
    rotation: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Checks, lift and left inverse of a rotation part."""
    read = rotation.any(axis=0)
    rank = int(read.sum())
    checks, lift, inverse = (np.zeros((3, 3)) for _ in range(3))
    inverse[read] = np.linalg.pinv(rotation[:, read].astype(np.float64))
    rows = _whole_kernel(rotation, 3 - rank)
    checks[: len(rows)] = rows
    for index in range(len(rows)):
        unit = np.eye(len(rows))[index]
        lift[:, index] = next(v for v in _SMALL_VECTORS if np.array_equal(rows @ np.array(v), unit))
    return checks, lift, inverse


def _whole_kernel(rotation: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """A basis of all whole row vectors that the columns of a rotation part are orthogonal to, (size, 3)."""
    if size in (0, 3):
        return np.eye(3, dtype=np.int64)[:size]
    kernel = [np.array(v) for v in _SMALL_VECTORS if any(v) and not (np.array(v) @ rotation).any()]
    for rows in combinations(kernel, size):
        # minors of a basis of all whole vectors have no common divisor
        minors = rows[0] if size == 1 else np.cross(rows[0], rows[1])
        if gcd(*map(int, minors)) == 1:
            return np.stack(rows)
    raise ValueError(f"no small whole vectors are orthogonal to the columns of {rotation.tolist()}")
