"""The lattice coordinates of the Crystal-GFN paper: lengths and angles as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.lattice.box import (
    LatticeBox,
    check_angles,
    closing_interval,
    ends_of,
    fixed_angle,
    interval_of,
)
from gflownet_crystal.envs.lattice.shortest import EDGE_FACTORS, least_edges


class RawBox(LatticeBox):
    """Lengths and angles themselves, as in the paper (appendix C); angles in sequence, so that cells close.

    The reference measure is that of the paper's box, each side of length 1.

    Args:
        lengths: shortest and longest axis, Å; the shortest is longer where ``shortest`` asks for it.
        angles: smallest and largest angle, degrees.
        shortest: no edge or centring vector is shorter, Å, see :mod:`lattice_shortest`.

    Raises:
        ConfigError: an interval that is empty or impossible.
    """

    names = ("a", "b", "c", "alpha", "beta", "gamma")

    def __init__(
        self,
        lengths: Sequence[float] = (0.9, 100.0),
        angles: Sequence[float] = (50.0, 150.0),
        shortest: float = 0.8,
    ) -> None:
        self.lengths = interval_of("lengths", lengths, 0.0, math.inf)
        low, high = interval_of("angles", angles, 0.0, 180.0)
        self.angles = (math.radians(low), math.radians(high))
        check_angles(self.angles)
        self.settings = {
            "lengths": list(self.lengths),
            "angles": [float(end) for end in angles],
            "shortest": float(shortest),
        }
        self.least_edge = least_edges(shortest)
        if (needed := shortest * max(EDGE_FACTORS.values())) >= self.lengths[1]:
            raise ConfigError(
                f"shortest={shortest} needs axes of {needed:g} Å and more in some groups, but lengths ends at "
                f"{self.lengths[1]:g}; lower the one or raise the other"
            )

    def interval(
        self, index: int, earlier: Sequence[Tensor], group: Tensor, reference: Tensor
    ) -> tuple[Tensor, Tensor]:
        if index <= 2:
            low, high = ends_of(self.lengths, group)
            return torch.maximum(low, on_device(self.least_edge, group.device)[group]), high
        low, high = ends_of(self.angles, group)
        return closing_interval(low, high, earlier[3], earlier[4]) if index == 5 else (low, high)

    def fixed(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> Tensor:
        if index <= 2:
            # a coordinate that is not free equals the first length
            return earlier[0] if index else torch.zeros(len(group), dtype=torch.float64, device=group.device)
        return fixed_angle(index, group)

    def scale(self, index: int) -> float:
        low, high = self.lengths if index <= 2 else self.angles
        return high - low

    def to_parameters(self, natural: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return natural[:, :3], torch.rad2deg(natural[:, 3:])

    def from_parameters(self, lengths: Tensor, angles: Tensor, reference: Tensor) -> Tensor:
        return torch.cat([lengths, torch.deg2rad(angles)], dim=1)
