"""Rewards with known answers for the hypergrid and the box; they verify the machinery."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.base import Proxy


class GridCorners(Proxy):
    """Modes in the corners of a hypergrid (Bengio et al. 2021, equation 10).

    ``R = r0 + r1 prod_i [0.25 < |x_i / (H - 1) - 0.5|] + r2 prod_i [0.3 < |x_i / (H - 1) - 0.5| < 0.4]``.

    Args:
        length: H, cells in each dimension.
        r0, r1, r2: heights, positive.
    """

    input_kind = "grid"
    property_name = "reward"
    unit = "1"

    def __init__(self, length: int, r0: float = 0.1, r1: float = 0.5, r2: float = 2.0) -> None:
        if not r0 > 0.0:
            raise ConfigError(f"r0 must be positive, not {r0}: the reward must not vanish")
        self.length, self.r0, self.r1, self.r2 = length, r0, r1, r2

    def predict(self, batch: Tensor) -> Tensor:
        distance = (batch.double() / (self.length - 1) - 0.5).abs()
        outer = (distance > 0.25).all(dim=1)
        inner = ((distance > 0.3) & (distance < 0.4)).all(dim=1)
        return self.r0 + self.r1 * outer.double() + self.r2 * inner.double()


class BoxCorners(Proxy):
    """A sum of Gaussian bumps, one in each corner region of the unit box; its integral is a product of error functions.

    Args:
        n_dimensions: d.
        offset: distance of the bumps from the faces, in (0, 0.5).
        width: standard deviation of a bump.
        height: height of a bump above the floor.
        floor: added everywhere, positive.
    """

    input_kind = "box"
    property_name = "reward"
    unit = "1"

    def __init__(
        self,
        n_dimensions: int,
        offset: float = 0.25,
        width: float = 0.08,
        height: float = 1.0,
        floor: float = 0.01,
    ) -> None:
        if not (0.0 < offset < 0.5 and width > 0.0 and floor > 0.0):
            raise ConfigError(
                f"need 0 < offset < 0.5, width > 0 and floor > 0; got {offset}, {width}, {floor}"
            )
        self.n_dimensions, self.offset, self.width = n_dimensions, offset, width
        self.height, self.floor = height, floor

    def predict(self, batch: Tensor) -> Tensor:
        points = batch.double()
        bumps = sum(self._bump(points, centre) for centre in (self.offset, 1.0 - self.offset))
        # the sum over corners of products is the product over dimensions of sums
        return self.floor + self.height * torch.as_tensor(bumps).prod(dim=1)

    def _bump(self, points: Tensor, centre: float) -> Tensor:
        return torch.exp(-0.5 * ((points - centre) / self.width).square())

    def log_integral(self) -> float:
        """Logarithm of the integral of the reward over the box, in closed form."""
        edges = torch.tensor([0.0, 1.0], dtype=torch.float64)
        scale = self.width * (2.0 * torch.pi) ** 0.5
        mass = torch.zeros((), dtype=torch.float64)
        for centre in (self.offset, 1.0 - self.offset):
            low, high = torch.special.ndtr((edges - centre) / self.width)
            mass = mass + scale * (high - low)
        return float(torch.log(self.floor + self.height * mass**self.n_dimensions))
