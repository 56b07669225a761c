"""Distance of a cell from the equilibrium that its composition suggests, and the least cost of that distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

N_SHAPE, N_VONORMS = 13, 7
"""Lattice descriptors that a strain of the shape changes, and the vonorms among them, which come first."""

N_VOLUME_FEATURES, N_SHAPE_FEATURES = 27, N_SHAPE + 9
"""Widths of :func:`volume_features` and :func:`shape_features`."""

_VOLUME_RANGE = (-0.8, 0.9)
_DISTANCE_RANGE = (0.0, 0.49)
_BEND_SCALE = 5.0
_VONORM_WEIGHT = 0.2

# medians of Morse curves and shape stiffnesses fitted to chgnet energies of strained crystals
_LOG_DEPTH, _LOG_EXPONENT, _LOG_STIFFNESS = math.log(4.0), math.log(3.5), math.log(3.0)
_TOP = 8.0


def mode_distance(modes: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance of a cell's shape from the shapes that its composition may take.

    Args:
        modes: (members, n, modes, 15): 13 lattice descriptors, log probability, spread.
        shape: (n, 15) or (members, n, 15) lattice descriptors.

    Returns:
        Difference (members, n, 13) and distance (members, n) to the modes, weighted by their responsibility, and the
        negative log density (members, n). A distance is the norm of the volume-preserving log strain between two cells
        with the same fixed axes; vonorms stand in where a cell has none.
    """
    difference = shape[..., None, :N_SHAPE] - modes[..., :N_SHAPE]
    weight = torch.cat([shape.new_full((N_VONORMS,), _VONORM_WEIGHT), shape.new_ones(N_SHAPE - N_VONORMS)])
    distance = torch.sqrt((weight * difference**2).sum(-1) + 1e-6)
    spread = modes[..., -1]
    log_density = modes[..., -2] - distance / spread - 2 * torch.log(spread)
    responsibility = torch.softmax(log_density, dim=2)
    return (
        (responsibility[..., None] * difference).sum(2),
        (responsibility * distance).sum(2),
        -torch.logsumexp(log_density, dim=2),
    )


def volume_features(strain: Tensor) -> Tensor:
    """Smooth basis (..., 27) of a log volume ratio."""
    basis = _gaussians(strain, _VOLUME_RANGE, N_VOLUME_FEATURES - 3, 1.5)
    return torch.cat([basis, torch.stack([strain, strain**2, torch.exp(-strain)], dim=-1)], dim=-1)


def shape_features(difference: Tensor, distance: Tensor, surprise: Tensor) -> Tensor:
    """Features (..., 22) of the result of :func:`mode_distance`."""
    basis = _gaussians(distance, _DISTANCE_RANGE, N_SHAPE_FEATURES - N_SHAPE - 1, 1.0)
    return torch.cat([_BEND_SCALE * difference, basis, surprise[..., None]], dim=-1)


def volume_well(strain: Tensor, parameters: Tensor) -> Tensor:
    """Morse curve in the length, D (1 - exp(-a (x - 1)))^2 with x = exp(strain / 3), at most 8 eV/atom.

    Args:
        strain: (...) log of the volume over the equilibrium one.
        parameters: (..., 3) logs of D, a and the shape's stiffness over typical values.
    """
    depth = torch.exp(parameters[..., 0].clamp(-3, 2) + _LOG_DEPTH)
    exponent = torch.exp(parameters[..., 1].clamp(-1, 1) + _LOG_EXPONENT)
    stretch = torch.exp(strain.clamp(-1.5, 3.0) / 3) - 1
    return _bounded(depth * (1 - torch.exp(-exponent * stretch)) ** 2)


def shape_well(distance: Tensor, parameters: Tensor) -> Tensor:
    """Quadratic in the distance from the nearest shapes, linear far away, at most 8 eV/atom."""
    # a stiffness is never far below the typical one: a shape must not come for free
    stiffness = torch.exp(parameters[..., 2].clamp(-0.7, 2) + _LOG_STIFFNESS)
    return _bounded(stiffness * distance**2 / torch.sqrt(1 + (distance / 0.5) ** 2))


def _bounded(energy: Tensor) -> Tensor:
    return _TOP * torch.tanh(energy / _TOP)


def _gaussians(values: Tensor, interval: tuple[float, float], count: int, width: float) -> Tensor:
    centres = torch.linspace(*interval, count, device=values.device)
    spacing = (interval[1] - interval[0]) / (count - 1)
    return torch.exp(-0.5 * ((values[..., None] - centres) / (width * spacing)) ** 2)
