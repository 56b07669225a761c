"""Maps between the unit box of the lattice stage and lattice parameters, with their Jacobians.

A map is triangular: coordinate i is the relative position in an interval that depends on the earlier ones only, so
its log-Jacobian is the sum of the intervals' logarithmic lengths, and cells that do not close have no coordinates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.lattice import FIXED_ANGLES, FREE_PARAMETERS
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group

N_COORDINATES = 6
RIGHT_ANGLE = math.pi / 2
_TINY = 1e-12
# how far outside its interval a given cell may lie by rounding
_TOLERANCE = 1e-6
_EDGE = 1e-6
# keeps cells away from zero volume where the interval of an angle ends at one
_MARGIN = math.radians(0.1)

_SYSTEM = torch.from_numpy(lattice_system_of_group)
_IS_FREE = FREE_PARAMETERS[_SYSTEM]
"""(231, 6) bool by space group."""
_FIXED_ANGLES = torch.deg2rad(FIXED_ANGLES[_SYSTEM])
"""(231, 3) float64 radians by space group; NaN where an angle is free."""


class LatticeBox(ABC):
    """Six natural coordinates x, each in an interval left open by the group and the earlier ones.

    Attributes:
        names: names of the natural coordinates.
        settings: that the box was made with, by name.
    """

    names: tuple[str, ...]
    settings: dict[str, object]

    @abstractmethod
    def interval(
        self, index: int, earlier: Sequence[Tensor], group: Tensor, reference: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lower and upper ends, (n,) each, of coordinate ``index``; lengths in log or Å, angles in radians.

        Never empty, whatever the earlier ones and the reference volume (n,), Å^3.
        """

    @abstractmethod
    def fixed(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> Tensor:
        """(n,) value of coordinate ``index`` where it is not free."""

    @abstractmethod
    def to_parameters(self, natural: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths in Å and angles in degrees, (n, 3) each, from natural coordinates (n, 6) and the reference volume."""

    @abstractmethod
    def from_parameters(self, lengths: Tensor, angles: Tensor, reference: Tensor) -> Tensor:
        """(n, 6) natural coordinates; inverse of :meth:`to_parameters`."""

    def scale(self, index: int) -> float:
        """Length of the unit of coordinate ``index`` in the reference measure; 1 unless overridden."""
        return 1.0

    def is_free(self, group: Tensor) -> Tensor:
        """(n, 6) bool; a volume or ratio in the place of a length is free where the length is."""
        return on_device(_IS_FREE, group.device)[group]

    def decode(self, unit: Tensor, group: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Natural coordinates of points of the unit box.

        Args:
            unit: (n, 6) float64 in [0, 1].
            group: (n,) int64.
            reference: (n,) float64, reference volume of the composition, Å^3.

        Returns:
            natural: (n, 6) float64; log_jacobian: (n,) float64, log |dx / du| over the free coordinates.
        """
        free = self.is_free(group)
        natural: list[Tensor] = []
        log_jacobian = torch.zeros(len(unit), dtype=torch.float64, device=unit.device)
        for index in range(N_COORDINATES):
            low, high = self.interval(index, natural, group, reference)
            width = (high - low).clamp(min=_TINY)
            value = low + unit[:, index] * width
            natural.append(torch.where(free[:, index], value, self.fixed(index, natural, group)))
            log_width = (width / self.scale(index)).log()
            log_jacobian = log_jacobian + log_width.masked_fill(~free[:, index], 0.0)
        return torch.stack(natural, dim=1), log_jacobian

    def encode(self, natural: Tensor, group: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse of :meth:`decode`.

        Returns:
            unit: (n, 6) float64, 0 where not free; inside: (n,) bool, whether every coordinate lies in its interval.
        """
        free = self.is_free(group)
        earlier: list[Tensor] = []
        unit, inside = [], torch.ones(len(natural), dtype=torch.bool, device=natural.device)
        for index in range(N_COORDINATES):
            low, high = self.interval(index, earlier, group, reference)
            value, fixed = natural[:, index], self.fixed(index, earlier, group)
            is_free = free[:, index]
            within = (value >= low - _TOLERANCE) & (value <= high + _TOLERANCE)
            # a value that the lattice system fixes may carry the rounding of a file
            inside = inside & torch.where(is_free, within, (value - fixed).abs() < 1e-3)
            # a density may be infinite or zero at the very ends of its interval
            relative = ((value - low) / (high - low).clamp(min=_TINY)).clamp(_EDGE, 1.0 - _EDGE)
            unit.append(relative.masked_fill(~is_free, 0.0))
            earlier.append(torch.where(is_free, value, fixed))
        return torch.stack(unit, dim=1), inside & natural.isfinite().all(dim=1)


def ends_of(ends: Sequence[float], group: Tensor) -> tuple[Tensor, Tensor]:
    """Constant ends of an interval, (n,) float64 each."""
    low, high = (torch.full((len(group),), end, dtype=torch.float64, device=group.device) for end in ends)
    return low, high


def fixed_angle(index: int, group: Tensor) -> Tensor:
    """(n,) float64 radians: angle 3, 4 or 5 where the lattice system fixes it, else NaN."""
    return on_device(_FIXED_ANGLES, group.device)[group, index - 3]


def closing_interval(low: Tensor, high: Tensor, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """The part of [low, high] in which gamma closes a cell with alpha and beta."""
    total = alpha + beta
    return (
        torch.maximum(low, (alpha - beta).abs() + _MARGIN),
        torch.minimum(high, torch.minimum(total, 2 * math.pi - total) - _MARGIN),
    )


def interval_of(name: str, ends: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """Two checked ends of an interval that a user gave."""
    try:
        low, high = (float(end) for end in ends)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is {ends!r}; give its two ends, the lower first") from error
    if not least < low < high < most:
        raise ConfigError(
            f"{name} is [{low}, {high}]; give two ends between {least} and {most}, the lower first"
        )
    return low, high


def check_angles(angles: Sequence[float]) -> None:
    """Every pair of angles must leave a third one open."""
    low, high = angles
    if not low < RIGHT_ANGLE < 2 * math.pi / 3 < high or 2 * (math.pi - high) - _MARGIN <= low:
        raise ConfigError(
            f"angles is [{math.degrees(low):g}, {math.degrees(high):g}] degrees; the ends must hold 90 and 120, and "
            "two of the largest must leave room for the smallest"
        )
