"""Sizes of the DimeNet++-style network whose outputs are on edges, with named presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative, Positive, Several


@dataclass(frozen=True)
class DimeNetSettings(CheckedFields):
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
    """

    place = "generator.network"

    cutoff: Positive = 6.0
    neighbours: Count = 24
    n_blocks: Count = 2
    width: Count = 64
    output: Count = 64
    interaction: Count = 32
    n_orders: Several = 5
    n_radial: Count = 10
    basis: Literal["bessel", "shared"] = "shared"
    basis_width: Count = 8
    after_skip: Count = 1
    output_layers: Count = 1
    levels: Several = 10
    softening: NonNegative = 1.0
    tabulated: bool = True

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
