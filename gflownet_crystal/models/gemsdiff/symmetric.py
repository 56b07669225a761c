"""Functions of symmetric 3 x 3 matrices by Jacobi rotations: batched, to the last digits, without a host's decisions.

Eigenvalues may be as near to each other as they like; the number of operations is always the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_SWEEPS = 6
_PLANES = ((0, 1), (0, 2), (1, 2))


def symmetric_eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (n, 3), in no order, and eigenvectors as columns (n, 3, 3) of symmetric (n, 3, 3) float64."""
    vectors = torch.eye(3, dtype=matrix.dtype, device=matrix.device).repeat(len(matrix), 1, 1)
    for _ in range(_SWEEPS):
        for first, second in _PLANES:
            cosine, sine = _rotation(
                matrix[:, first, second], matrix[:, second, second] - matrix[:, first, first]
            )
            matrix = _rotated(_rotated(matrix, first, second, cosine, sine).mT, first, second, cosine, sine)
            vectors = _rotated(vectors, first, second, cosine, sine)
    return matrix.diagonal(dim1=1, dim2=2), vectors


def symmetric_function(matrix: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """V f(eigenvalues) V^T of symmetric (n, 3, 3) float64."""
    values, vectors = symmetric_eigen(matrix)
    return (vectors * function(values)[:, None]) @ vectors.mT


def _rotation(off_diagonal: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, (n, 1), of the smaller rotation that clears an element off the diagonal."""
    double = 2.0 * off_diagonal
    direction = torch.where(difference < 0.0, -1.0, 1.0).to(double.dtype)
    denominator = difference + direction * torch.hypot(difference, double)
    tangent = torch.where(denominator == 0.0, 0.0, double / denominator.where(denominator != 0.0, 1.0))
    cosine = (1.0 + tangent.square()).rsqrt()
    return cosine[:, None], (tangent * cosine)[:, None]


def _rotated(matrix: Tensor, first: int, second: int, cosine: Tensor, sine: Tensor) -> Tensor:
    """The matrix with two of its columns rotated in their plane."""
    columns = list(matrix.unbind(2))
    one, other = columns[first], columns[second]
    columns[first], columns[second] = cosine * one - sine * other, sine * one + cosine * other
    return torch.stack(columns, dim=2)
