"""Sizes of the DimeNet++-style network whose outputs are on edges, with named presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from gflownet_crystal.common.errors import ConfigError


@dataclass(frozen=True)
class DimeNetSettings:
    """Sizes of a :class:`~gflownet_crystal.models.langevin.dimenet_edges.DimeNetEdges`.

    Attributes:
        cutoff: longest edge, Å.
        neighbours: edges of a node at most; where there are more, its cutoff is at the last of them.
        n_blocks: interaction blocks; an output head follows each, and one precedes them.
        width: features of an edge.
        output: hidden features of an output head.
        interaction: number of features in the messages between adjacent edges.
        n_orders: orders l of the functions of the angle.
        n_radial: functions of distance.
        basis: ``bessel`` for spherical Bessel functions of each order, ``shared`` for one set for all orders, faster.
        basis_width: features of a basis after its first projection.
        after_skip: residual layers after the skip connection of an edge.
        output_layers: hidden layers of an output head.
        levels: functions of the noise level.
        softening: Å; functions read the lengths sqrt(d^2 + softening^2), as those of DimeNet++ grow like 1 / d and
            noise puts atoms on each other. The paper says nothing of this.
        tabulated: whether tabulated features of the elements are read too.

    Raises:
        ConfigError: a size is not positive, or the basis is unknown.
    """

    cutoff: float = 6.0
    neighbours: int = 24
    n_blocks: int = 2
    width: int = 64
    output: int = 64
    interaction: int = 32
    n_orders: int = 5
    n_radial: int = 10
    basis: Literal["bessel", "shared"] = "shared"
    basis_width: int = 8
    after_skip: int = 1
    output_layers: int = 1
    levels: int = 10
    softening: float = 1.0
    tabulated: bool = True

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, value in vars(self).items():
            if name not in ("basis", "softening", "tabulated") and not value > 0:
                raise ConfigError(f"generator.network.{name} is {value}: it has to be above zero")
        if not self.softening >= 0:
            raise ConfigError(f"generator.network.softening is {self.softening}: it must not be negative")
        if self.n_orders < 2 or self.levels < 2:
            raise ConfigError("generator.network.n_orders and generator.network.levels have to be at least 2")
        if self.basis not in ("bessel", "shared"):
            raise ConfigError(f"generator.network.basis is {self.basis!r}: choose bessel or shared")

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """The authors' sizes for MP-20, with ``changes``; only the number of neighbours has a limit here."""
        return replace(
            cls(
                neighbours=64,
                n_blocks=4,
                output=128,
                interaction=64,
                n_orders=7,
                basis="bessel",
                after_skip=2,
                output_layers=3,
                tabulated=False,
            ),
            **changes,
        )
