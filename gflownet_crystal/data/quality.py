"""Unphysical records: cells far too large or too small, which would teach a network wrong volumes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TYPICAL_VOLUME = 18.0
"""Prior mean of the volume per atom, Å^3, for elements with few data."""

LOG_VOLUME_BOUNDS = (-0.7, 1.3)
"""Accepted log of the volume over the sum of elemental volumes; molecular crystals reach 1.3, broken records 2."""


def elemental_volumes(fractions: Tensor, volume_per_atom: Tensor, rounds: int = 20) -> NDArray[np.float64]:
    """Volume that an atom of each element takes, by a robust linear regression in relative error, (119,) float64, Å^3.

    Args:
        fractions: (n, 119) float64.
        volume_per_atom: (n,) float64, Å^3.
        rounds: number of rounds of iterative reweighting.
    """
    x, y = fractions.numpy(), volume_per_atom.numpy()
    weight = np.ones(len(y))
    volumes = np.full(x.shape[1], TYPICAL_VOLUME)
    for _ in range(rounds):
        scaled = x * (np.sqrt(weight) / y)[:, None]
        prior = 3.0 / TYPICAL_VOLUME**2
        normal = scaled.T @ scaled + prior * np.eye(x.shape[1])
        volumes = np.linalg.solve(normal, scaled.T @ np.sqrt(weight) + prior * TYPICAL_VOLUME)
        misfit = np.abs(np.log(np.maximum(x @ volumes, 3.0) / y))
        weight = 1 / np.maximum(misfit, 0.02) ** 1.5
    return volumes


def is_plausible(fractions: Tensor, volume_per_atom: Tensor) -> NDArray[np.bool_]:
    """Rows (n,) whose volume is within LOG_VOLUME_BOUNDS of the sum of elemental volumes."""
    volumes = elemental_volumes(fractions, volume_per_atom)
    expected = torch.from_numpy(np.maximum(fractions.numpy() @ volumes, 3.0))
    log_ratio = torch.log(volume_per_atom / expected).numpy()
    return np.asarray((log_ratio > LOG_VOLUME_BOUNDS[0]) & (log_ratio < LOG_VOLUME_BOUNDS[1]))
