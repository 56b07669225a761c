"""Diffusion of fractional coordinates, which live on a torus: wrapped normal distributions and displacements back.

Klipfel et al., "Vector field oriented diffusion model for crystal material generation", AAAI 2024, section 4.2. Noise
is added coordinate by coordinate, so everything factors over coordinates. Displacements are shortest in fractional
coordinates, in which the noise is isotropic; in Å another image may be nearer, if a cell is skewed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.models.gemsdiff.noise_schedules import VarianceExploding

_WINDINGS = 6
_QUADRATURE = 4096


def wrapped(fractional: Tensor) -> Tensor:
    """Coordinates in [0, 1)."""
    inside = fractional - fractional.floor()
    # the floor of a tiny negative number leaves exactly one
    return inside.where(inside < 1.0, 0.0)


def shortest_path(origin: Tensor, goal: Tensor) -> Tensor:
    """goal - origin - k*, the shortest of all ways to images of the goal (equation 20), any shape; within 0.5."""
    difference = goal - origin
    return difference - difference.round()


def mean_path(path: Tensor, variance: Tensor) -> Tensor:
    """Mean way back to x_0 over all windings by which noise may have come.

    This is the variance times the score of the wrapped normal; where noise is small, the shortest path.

    Args:
        path: (..., d), a way from x_t to x_0, within 0.5.
        variance: broadcast against it, v_t, up to about 1.
    """
    ways = path[..., None] + _windings(path)
    weight = (-0.5 * ways.square() / variance[..., None]).softmax(-1)
    return (weight * ways).sum(-1)


def log_density(difference: Tensor, variance: Tensor) -> Tensor:
    """Logarithm of the density of a wrapped normal, (...), at differences from its centre."""
    ways = shortest_path(torch.zeros_like(difference), difference)[..., None] + _windings(difference)
    exponents = -0.5 * ways.square() / variance[..., None]
    return exponents.logsumexp(-1) - 0.5 * (2.0 * math.pi * variance).log()


def path_scale(variance: Tensor) -> Tensor:
    """Root mean square of :func:`mean_path` at each variance, (T,), by quadrature; 1 where the variance is 0."""
    grid = (torch.arange(_QUADRATURE, dtype=variance.dtype, device=variance.device) + 0.5) / _QUADRATURE - 0.5
    # the grid is too coarse for the narrowest, which do not feel the torus
    narrow = variance < (0.02) ** 2
    column = variance.where(~narrow, 1.0)[:, None]
    density = log_density(grid, column).exp()
    wide = (density * mean_path(grid.expand_as(density), column).square()).mean(1).sqrt()
    return torch.where(narrow, variance.sqrt(), wide).where(variance > 0.0, 1.0)


class Windings(NamedTuple):
    """A mixture of normals, wrapped: one for each winding.

    Attributes:
        mean: (..., w) of each, not wrapped.
        weight: (..., w), sum 1.
        deviation: (...) of all.
    """

    mean: Tensor
    weight: Tensor
    deviation: Tensor


class TorusDiffusion(NamedTuple):
    """q(x_t | x_0) = [N(x_0, v_t)] on the torus (equation 16).

    Attributes:
        schedule: the variances v_t.
    """

    schedule: VarianceExploding

    def to(self, device: torch.device | str) -> TorusDiffusion:
        """The same on ``device``."""
        return TorusDiffusion(self.schedule.to(device))

    def marginal(self, start: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """A draw of x_t, wrapped, from x_0 (N, d), t (N,) and standard normal noise (N, d)."""
        return wrapped(start + self.schedule.variance[step].sqrt()[:, None] * noise)

    def posterior(self, noisy: Tensor, start: Tensor, step: Tensor, to: Tensor) -> Windings:
        """q(x_s | x_t, x_0): a normal for each way from x_0 to x_t, weighed by how likely noise took it.

        The paper writes [N(x_0, beta tilde)] here, which does not depend on x_t.

        Args:
            noisy: (N, d), x_t.
            start: (N, d), x_0.
            step: (N,) int64, t, at least 1.
            to: (N,) int64, s below t.

        Returns:
            Means and weights (N, d, w), deviation (N, 1).
        """
        path = shortest_path(noisy, start)
        ways = path[..., None] + _windings(path)
        variance = self.schedule.variance[step][:, None, None]
        share, deviation = self.schedule.shrinkage(step, to)
        mean = noisy[..., None] + share[:, None, None] * ways
        return Windings(mean, (-0.5 * ways.square() / variance).softmax(-1), deviation[:, None])

    def step_back(self, noisy: Tensor, path: Tensor, step: Tensor, to: Tensor, noise: Tensor) -> Tensor:
        """x_s from x_t: a share of the mean way back, and noise; exact in the limit of many steps.

        Args:
            noisy: (N, d), x_t.
            path: (N, d), E[:func:`mean_path` to x_0 | x_t], the variance times the score.
            step: (N,) int64, t, at least 1.
            to: (N,) int64, s below t.
            noise: (N, d), standard normal.
        """
        share, deviation = self.schedule.shrinkage(step, to)
        return wrapped(noisy + share[:, None] * path + deviation[:, None] * noise)


def _windings(like: Tensor) -> Tensor:
    return torch.arange(-_WINDINGS, _WINDINGS + 1, dtype=like.dtype, device=like.device)
