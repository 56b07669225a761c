"""Frechet distance of two sets of feature vectors, each taken as a Gaussian.

Source: M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017, equation 6; on features of
crystals as in A. Klipfel et al., AAAI 2024 (features of ALIGNN) and the Langevin model with adaptive cells (CrystalNN).
A distance belongs to its features: figures of different networks, or of one trained again, are not comparable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Fréchet distance ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` of fitted Gaussians.

    Args:
        first: (n, d) features, n >= 2.
        second: (m, d) features, m >= 2.

    Returns:
        At least 0, in the features' unit squared. Biased upwards for n of the order of d: compare equal n.

    Raises:
        DataError: shapes do not fit, too few vectors, or values that are not finite.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise DataError(
            f"features (n, d) and (m, d) are needed, not {list(first.shape)}, {list(second.shape)}"
        )
    if len(first) < 2 or len(second) < 2:
        raise DataError(f"a covariance needs at least 2 vectors, not {len(first)} and {len(second)}")
    if not bool(first.isfinite().all() and second.isfinite().all()):
        raise DataError("features are not finite; leave those structures out and count them")
    moments = [(x.double().mean(0), _covariance(x.double())) for x in (first, second)]
    return gaussian_distance(*moments[0], *moments[1])


def gaussian_distance(
    first_mean: Tensor, first_covariance: Tensor, second_mean: Tensor, second_covariance: Tensor
) -> float:
    """Squared Frechet distance of two Gaussians, means (d,) and covariances (d, d) float64."""
    root = _root(first_covariance)
    # (S1 S2)^(1/2) has the eigenvalues of the root of this symmetric matrix
    inner = torch.linalg.eigvalsh(root @ second_covariance @ root).clamp(min=0.0).sqrt().sum()
    apart = (first_mean - second_mean).square().sum()
    return max(0.0, float(apart + first_covariance.trace() + second_covariance.trace() - 2.0 * inner))


def frechet_floor(
    reference: Tensor, n: int, generator: torch.Generator, n_resamples: int = 10
) -> tuple[float, float]:
    """The distance that n feature vectors of the reference distribution itself have from a reference of this size.

    Args:
        reference: (m, d).
        n: vectors of a sample. Sample and reference are both drawn with replacement.
        generator: random generator on the CPU.
        n_resamples: pairs of them.

    Returns:
        The mean, and the largest.
    """

    def draw(size: int) -> Tensor:
        return reference[torch.randint(len(reference), (size,), generator=generator)]

    found = [frechet_distance(draw(n), draw(len(reference))) for _ in range(n_resamples)]
    return sum(found) / n_resamples, max(found)


def _covariance(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
