"""The default lattice coordinates: volume, axial ratios and angles, one setting of each lattice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.lattice import closure
from gflownet_crystal.envs.lattice.box import (
    RIGHT_ANGLE,
    LatticeBox,
    check_angles,
    closing_interval,
    ends_of,
    fixed_angle,
    interval_of,
)
from gflownet_crystal.envs.lattice.settings import ORDERED_A_B, ORDERED_A_C, ORDERED_B_C, SHEAR_LIMITS
from gflownet_crystal.envs.lattice.shortest import log_least_volumes


class ShapeBox(LatticeBox):
    """Log volume per atom over its reference, log axial ratios, angles: the default.

    Args:
        log_volume: ends of log(volume / reference volume).
        axial_ratio: least and greatest b / a and c / a.
        angles: least and greatest angle, degrees, where no reduction bounds it.
        canonical: keep one of equivalent settings, see :mod:`lattice_settings`.
        shortest: no lattice vector is shorter, Å, see :mod:`lattice_shortest`; volumes and ratios that would need a
            shorter edge are left out. Where all volumes of a composition are too small (as of a few helium atoms, which
            count 0.1 Å^3 each), an interval of the same length from the least volume upwards takes their place.

    Raises:
        ConfigError: an interval that is empty or impossible.
    """

    names = ("log_volume", "log_b_over_a", "log_c_over_a", "alpha", "beta", "gamma")

    def __init__(
        self,
        log_volume: Sequence[float] = (-0.5, 0.8),
        axial_ratio: Sequence[float] = (0.08, 20.0),
        angles: Sequence[float] = (50.0, 130.0),
        canonical: bool = True,
        shortest: float = 0.8,
    ) -> None:
        self.log_volume = interval_of("log_volume", log_volume, -math.inf, math.inf)
        self.log_ratio = tuple(
            math.log(end) for end in interval_of("axial_ratio", axial_ratio, 0.0, math.inf)
        )
        if not self.log_ratio[0] < 0.0 < self.log_ratio[1]:
            raise ConfigError(f"axial_ratio is {list(axial_ratio)}; its ends must lie below and above 1")
        self.angles = tuple(math.radians(end) for end in interval_of("angles", angles, 0.0, 180.0))
        check_angles(self.angles)
        self.canonical = canonical
        self.settings = {
            "log_volume": [float(end) for end in log_volume],
            "axial_ratio": [float(end) for end in axial_ratio],
            "angles": [float(end) for end in angles],
            "canonical": canonical,
            "shortest": float(shortest),
        }
        self.log_least_volume = log_least_volumes(shortest)

    def interval(
        self, index: int, earlier: Sequence[Tensor], group: Tensor, reference: Tensor
    ) -> tuple[Tensor, Tensor]:
        if index <= 2:
            least = on_device(self.log_least_volume, group.device)[group] - reference.log()
            if index == 0:
                low, high = ends_of(self.log_volume, group)
                return torch.maximum(low, least), torch.where(least < high, high, least + high - low)
            # log of volume over least volume, at least 0 but for rounding
            room = (earlier[0] - least).clamp(min=0.0)
            ends = self._ratio_interval(index, earlier, group)
            return self._long_enough(index, ends, earlier, group, room)
        low, high = ends_of(self.angles, group)
        if index == 5:
            low, high = closing_interval(low, high, earlier[3], earlier[4])
        if not self.canonical:
            return low, high
        return self._reduced(index, low, high, earlier, group)

    def _ratio_interval(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> tuple[Tensor, Tensor]:
        low, high = ends_of((self.log_ratio[0], self.log_ratio[1]), group)
        if not self.canonical:
            return low, high
        ordered = on_device(ORDERED_A_B if index == 1 else ORDERED_A_C, group.device)[group]
        low = low.masked_fill(ordered, 0.0)
        if index == 2:
            low = torch.where(on_device(ORDERED_B_C, group.device)[group], earlier[1], low)
        return low, high

    def _long_enough(
        self, index: int, ends: tuple[Tensor, Tensor], earlier: Sequence[Tensor], group: Tensor, room: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The part of a ratio's interval in which no edge is under its least length.

        With x = log(b / a), y = log(c / a) and w the room, 3 log(edge / least edge) is w - x - y for a, w + 2 x - y for
        b and w - x + 2 y for c. The interval of x is where that of y is not empty; the cube is always inside.
        """
        low, high = ends
        if index == 2:
            x = earlier[1]
            most = room + torch.minimum(2.0 * x, -x)
            return torch.maximum(low, (x - room) / 2.0), torch.minimum(high, most)
        if not self.canonical:
            return torch.maximum(low, -room), torch.minimum(high, room)
        ordered_a_c, ordered_b_c = (on_device(f, group.device)[group] for f in (ORDERED_A_C, ORDERED_B_C))
        # y is at least 0, or at least x, where the setting orders a and c, or b and c
        return (
            torch.maximum(low, torch.where(ordered_a_c, -room / 2.0, -room)),
            torch.minimum(high, torch.where(ordered_b_c, room / 2.0, room)),
        )

    def _reduced(
        self, index: int, low: Tensor, high: Tensor, earlier: Sequence[Tensor], group: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The intervals of triclinic (Niggli) and monoclinic angles."""
        niggli_low, niggli_high = _niggli_interval(index, earlier)
        triclinic = group <= 2
        low, high = torch.where(triclinic, niggli_low, low), torch.where(triclinic, niggli_high, high)
        if index != 4:
            return low, high
        p, q = (on_device(limit, group.device)[group] for limit in SHEAR_LIMITS)
        limit = torch.minimum(p * earlier[2].exp(), q * (-earlier[2]).exp()).clamp(max=1.0)
        monoclinic = (group >= 3) & (group <= 15)
        return low.masked_fill(monoclinic, RIGHT_ANGLE), torch.where(monoclinic, torch.acos(-limit), high)

    def fixed(self, index: int, earlier: Sequence[Tensor], group: Tensor) -> Tensor:
        if index <= 2:
            return torch.zeros(len(group), dtype=torch.float64, device=group.device)
        return fixed_angle(index, group)

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
    acute = earlier[3] < RIGHT_ANGLE - 1e-9
    right = torch.full_like(limit, RIGHT_ANGLE)
    return torch.where(acute, torch.acos(limit), right), torch.where(acute, right, torch.acos(-obtuse_limit))
