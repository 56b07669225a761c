"""Standard normal numbers that are a function of their purpose, so that no draw depends on a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.generators.draws import joined, uniform

_POSITIONS, _LATTICES = 1, 2
_COORDINATES = 6


def normal(keys: Tensor) -> Tensor:
    """One number a key, float64 (G. Box and M. Muller, Ann. Math. Stat. 29, 610, 1958)."""
    first, second = (uniform(joined(keys, torch.full_like(keys, place))) for place in (0, 1))
    # uniform numbers may be 0, but never 1
    return (-2.0 * (-first).log1p()).sqrt() * (2.0 * math.pi * second).cos()


def normals(keys: Tensor, number: Tensor, columns: int = 3) -> Tensor:
    """Numbers of a draw, (M,) keys and its number () int64 -> (M, columns) float64."""
    places = torch.arange(columns, device=keys.device)
    return normal(joined(joined(keys, number)[:, None], places))


def member_keys(keys: Tensor, owner: Tensor, sizes: Tensor) -> Tensor:
    """Keys of the members of n owners, by their place among those of their owner.

    Args:
        keys: (n,) int64.
        owner: (N,) int64, not decreasing.
        sizes: (n,) int64, members of each.
    """
    place = torch.arange(len(owner), device=owner.device) - (sizes.cumsum(0) - sizes)[owner]
    return joined(keys[owner], place)


@dataclass(frozen=True)
class CounterNoise:
    """Noise of a diffusion.

    Attributes:
        owners: (n,) int64 keys of crystals.
        members: (N,) int64 keys of their atoms or orbits.
    """

    owners: Tensor
    members: Tensor

    def positions(self, step: int) -> Tensor:
        """(N, 3) float64."""
        return _of_step(self.members, _POSITIONS, step, 3)

    def lattices(self, step: int) -> Tensor:
        """(n, 6) float64."""
        return _of_step(self.owners, _LATTICES, step, _COORDINATES)

    def start(self) -> Tensor:
        """Uniform numbers in [0, 1), (N, 3) float64."""
        axes = torch.arange(3, device=self.members.device)
        return uniform(joined(self.members[:, None], axes))


def _of_step(keys: Tensor, kind: int, step: int, columns: int) -> Tensor:
    kinds, number = torch.full_like(keys, kind), torch.full((), step, device=keys.device)
    return normals(joined(keys, kinds), number, columns)
