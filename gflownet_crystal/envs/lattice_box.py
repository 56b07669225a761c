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

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.lattice import FIXED_ANGLES, closure
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.envs.lattice_settings import ORDERED_A_B, ORDERED_A_C, ORDERED_B_C, shear_limits

N_COORDINATES = 6
_RIGHT_ANGLE = math.pi / 2
_TINY = 1e-12
# how far outside its interval a given cell may lie by rounding
_TOLERANCE = 1e-6
# keeps cells away from zero volume where the interval of an angle ends at one
_MARGIN = math.radians(0.1)


class LatticeBox(ABC):
    """Six natural coordinates x, each in an interval left open by the group and the earlier ones.

    Attributes:
        names: of the natural coordinates.
        free: (6, 6) bool; by lattice system, which of them are free.
    """

    names: tuple[str, ...]
    free: Tensor

    @abstractmethod
    def interval(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper ends, (n,) each, of coordinate ``index``; lengths in log or A, angles in radians."""

    @abstractmethod
    def fixed(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> Tensor:
        """(n,) value of coordinate ``index`` where it is not free."""

    @abstractmethod
    def to_parameters(self, natural: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths in A and angles in degrees, (n, 3) each, from natural coordinates (n, 6) and the reference volume."""

    @abstractmethod
    def from_parameters(self, lengths: Tensor, angles: Tensor, reference: Tensor) -> Tensor:
        """(n, 6) natural coordinates; inverse of :meth:`to_parameters`."""

    def scale(self, index: int) -> float:
        """Length of the unit of coordinate ``index`` in the reference measure; 1 unless overridden."""
        return 1.0

    def is_free(self, group: Tensor) -> Tensor:
        """(n, 6) bool."""
        system = torch.from_numpy(lattice_system_of_group).to(group.device)[group]
        return self.free.to(group.device)[system]

    def decode(self, unit: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Natural coordinates of points of the unit box.

        Args:
            unit: (n, 6) float64 in [0, 1].
            group: (n,) int64.

        Returns:
            natural: (n, 6) float64; log_jacobian: (n,) float64, log |dx / du| over the free coordinates.
        """
        free = self.is_free(group)
        natural: list[Tensor] = []
        log_jacobian = torch.zeros(len(unit), dtype=torch.float64, device=unit.device)
        for index in range(N_COORDINATES):
            low, high = self.interval(index, natural, group)
            width = (high - low).clamp(min=_TINY)
            value = low + unit[:, index] * width
            natural.append(torch.where(free[:, index], value, self.fixed(index, natural, group)))
            log_width = (width / self.scale(index)).log()
            log_jacobian = log_jacobian + log_width.masked_fill(~free[:, index], 0.0)
        return torch.stack(natural, dim=1), log_jacobian

    def encode(self, natural: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse of :meth:`decode`.

        Returns:
            unit: (n, 6) float64, 0 where not free; inside: (n,) bool, whether every coordinate lies in its interval.
        """
        free = self.is_free(group)
        earlier: list[Tensor] = []
        unit, inside = [], torch.ones(len(natural), dtype=torch.bool, device=natural.device)
        for index in range(N_COORDINATES):
            low, high = self.interval(index, earlier, group)
            value, fixed = natural[:, index], self.fixed(index, earlier, group)
            is_free = free[:, index]
            within = (value >= low - _TOLERANCE) & (value <= high + _TOLERANCE)
            # a value that the lattice system fixes may carry the rounding of a file
            inside = inside & torch.where(is_free, within, (value - fixed).abs() < 1e-3)
            relative = ((value - low) / (high - low).clamp(min=_TINY)).clamp(0.0, 1.0)
            unit.append(relative.masked_fill(~is_free, 0.0))
            earlier.append(torch.where(is_free, value, fixed))
        return torch.stack(unit, dim=1), inside & natural.isfinite().all(dim=1)


class ShapeBox(LatticeBox):
    """Log volume per atom over its reference, log axial ratios, angles: the default.

    Args:
        log_volume: ends of log(volume / reference volume).
        axial_ratio: least and greatest b / a and c / a.
        angles: least and greatest angle, degrees, where no reduction bounds it.
        canonical: keep one of equivalent settings, see :mod:`lattice_settings`.

    Raises:
        ConfigError: an interval that is empty or impossible.
    """

    names = ("log_volume", "log_b_over_a", "log_c_over_a", "alpha", "beta", "gamma")
    free = torch.tensor(
        [
            [True, True, True, True, True, True],
            [True, True, True, False, True, False],
            [True, True, True, False, False, False],
            [True, False, True, False, False, False],
            [True, False, True, False, False, False],
            [True, False, False, False, False, False],
        ]
    )

    def __init__(
        self,
        log_volume: Sequence[float] = (-0.5, 0.8),
        axial_ratio: Sequence[float] = (0.08, 20.0),
        angles: Sequence[float] = (50.0, 130.0),
        canonical: bool = True,
    ) -> None:
        self.log_volume = _interval("log_volume", log_volume, -math.inf, math.inf)
        self.log_ratio = tuple(math.log(end) for end in _interval("axial_ratio", axial_ratio, 0.0, math.inf))
        if not self.log_ratio[0] < 0.0 < self.log_ratio[1]:
            raise ConfigError(f"axial_ratio is {list(axial_ratio)}; its ends must lie below and above 1")
        self.angles = tuple(math.radians(end) for end in _interval("angles", angles, 0.0, 180.0))
        _check_angles(self.angles)
        self.canonical = canonical

    def interval(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> tuple[Tensor, Tensor]:
        if index == 0:
            return _ends(self.log_volume, group)
        if index <= 2:
            return self._ratio_interval(index, earlier, group)
        low, high = _ends(self.angles, group)
        if index == 5:
            low, high = _closing(low, high, earlier[3], earlier[4])
        if not self.canonical:
            return low, high
        return self._reduced(index, low, high, earlier, group)

    def _ratio_interval(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> tuple[Tensor, Tensor]:
        low, high = _ends((self.log_ratio[0], self.log_ratio[1]), group)
        if not self.canonical:
            return low, high
        ordered = (ORDERED_A_B if index == 1 else ORDERED_A_C).to(group.device)[group]
        low = low.masked_fill(ordered, 0.0)
        if index == 2:
            low = torch.where(ORDERED_B_C.to(group.device)[group], earlier[1], low)
        return low, high

    def _reduced(
        self, index: int, low: Tensor, high: Tensor, earlier: Sequence[Tensor], group: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The intervals of triclinic (Niggli) and monoclinic angles."""
        niggli_low, niggli_high = _niggli_interval(index, earlier)
        triclinic = group <= 2
        low, high = torch.where(triclinic, niggli_low, low), torch.where(triclinic, niggli_high, high)
        if index != 4:
            return low, high
        p, q = (limit.to(group.device)[group] for limit in shear_limits())
        limit = torch.minimum(p * earlier[2].exp(), q * (-earlier[2]).exp()).clamp(max=1.0)
        monoclinic = (group >= 3) & (group <= 15)
        return low.masked_fill(monoclinic, _RIGHT_ANGLE), torch.where(monoclinic, torch.acos(-limit), high)

    def fixed(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> Tensor:
        if index <= 2:
            return torch.zeros(len(group), dtype=torch.float64, device=group.device)
        return _fixed_angle(index, group)

    def to_parameters(self, natural: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        angles = torch.rad2deg(natural[:, 3:])
        ratios = torch.cat([torch.ones_like(natural[:, :1]), natural[:, 1:3].exp()], dim=1)
        unit_volume = ratios.prod(dim=1) * closure(angles).sqrt()
        a = (reference * natural[:, 0].exp() / unit_volume) ** (1.0 / 3.0)
        return a[:, None] * ratios, angles

    def from_parameters(self, lengths: Tensor, angles: Tensor, reference: Tensor) -> Tensor:
        volume = lengths.prod(dim=1) * closure(angles).sqrt()
        ratios = (lengths[:, 1:] / lengths[:, :1]).log()
        return torch.cat([(volume / reference).log()[:, None], ratios, torch.deg2rad(angles)], dim=1)


class RawBox(LatticeBox):
    """Lengths and angles themselves, as in the paper (appendix C); angles in sequence, so that cells close.

    The reference measure is that of the paper's box, each side of length 1.

    Args:
        lengths: shortest and longest axis, A.
        angles: smallest and largest angle, degrees.

    Raises:
        ConfigError: an interval that is empty or impossible.
    """

    names = ("a", "b", "c", "alpha", "beta", "gamma")
    free = torch.tensor(
        [
            [True, True, True, True, True, True],
            [True, True, True, False, True, False],
            [True, True, True, False, False, False],
            [True, False, True, False, False, False],
            [True, False, True, False, False, False],
            [True, False, False, False, False, False],
        ]
    )

    def __init__(
        self, lengths: Sequence[float] = (0.9, 100.0), angles: Sequence[float] = (50.0, 150.0)
    ) -> None:
        self.lengths = _interval("lengths", lengths, 0.0, math.inf)
        low, high = _interval("angles", angles, 0.0, 180.0)
        self.angles = (math.radians(low), math.radians(high))
        _check_angles(self.angles)

    def interval(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> tuple[Tensor, Tensor]:
        if index <= 2:
            return _ends(self.lengths, group)
        low, high = _ends(self.angles, group)
        return _closing(low, high, earlier[3], earlier[4]) if index == 5 else (low, high)

    def fixed(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> Tensor:
        if index <= 2:
            # a coordinate that is not free equals the first length
            return earlier[0] if index else torch.zeros(len(group), dtype=torch.float64, device=group.device)
        return _fixed_angle(index, group)

    def scale(self, index: int) -> float:
        low, high = self.lengths if index <= 2 else self.angles
        return high - low

    def to_parameters(self, natural: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return natural[:, :3], torch.rad2deg(natural[:, 3:])

    def from_parameters(self, lengths: Tensor, angles: Tensor, reference: Tensor) -> Tensor:
        return torch.cat([lengths, torch.deg2rad(angles)], dim=1)


def _ends(ends: Sequence[float], group: Tensor) -> tuple[Tensor, Tensor]:
    low, high = (torch.full((len(group),), end, dtype=torch.float64, device=group.device) for end in ends)
    return low, high


def _fixed_angle(index: int, group: Tensor) -> Tensor:
    system = torch.from_numpy(lattice_system_of_group).to(group.device)[group]
    return torch.deg2rad(FIXED_ANGLES.to(group.device)[system, index - 3])


def _closing(low: Tensor, high: Tensor, alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """The part of [low, high] in which gamma closes a cell with alpha and beta."""
    total = alpha + beta
    return (
        torch.maximum(low, (alpha - beta).abs() + _MARGIN),
        torch.minimum(high, torch.minimum(total, 2 * math.pi - total) - _MARGIN),
    )


def _niggli_interval(index: int, earlier: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Interval of a triclinic angle in a reduced cell, from the ratios b / a and c / a and the earlier angles.

    Conditions of the International Tables (volume A, 3.1.3): |cos| at most half the ratio of the shorter to the
    longer edge; all angles acute or none; in the latter case also the shortest body diagonal's condition.
    """
    b, c = earlier[1].exp(), earlier[2].exp()
    limit = {3: b / c, 4: 1.0 / c, 5: 1.0 / b}[index] / 2.0
    if index == 3:
        return torch.acos(limit), torch.acos(-limit)
    if index == 5:
        cos_alpha, cos_beta = earlier[3].cos(), earlier[4].cos()
        diagonal = ((1.0 + b * b) / 2.0 + c * cos_beta + b * c * cos_alpha) / b
        obtuse_limit = torch.minimum(limit, diagonal).clamp(min=0.0)
    else:
        obtuse_limit = limit
    acute = earlier[3] < _RIGHT_ANGLE - 1e-9
    right = torch.full_like(limit, _RIGHT_ANGLE)
    return torch.where(acute, torch.acos(limit), right), torch.where(acute, right, torch.acos(-obtuse_limit))


def _interval(name: str, ends: Sequence[float], least: float, most: float) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in ends)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is {ends!r}; give its two ends, the lower first") from error
    if not least < low < high < most:
        raise ConfigError(
            f"{name} is [{low}, {high}]; give two ends between {least} and {most}, the lower first"
        )
    return low, high


def _check_angles(angles: Sequence[float]) -> None:
    """Every pair of angles must leave a third one open."""
    low, high = angles
    if not low < _RIGHT_ANGLE < 2 * math.pi / 3 < high or 2 * (math.pi - high) - _MARGIN <= low:
        raise ConfigError(
            f"angles is [{math.degrees(low):g}, {math.degrees(high):g}] degrees; the ends must hold 90 and 120, and "
            "two of the largest must leave room for the smallest"
        )
