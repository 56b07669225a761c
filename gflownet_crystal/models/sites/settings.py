"""Sizes of the network on sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Bounds, Count, Several
from gflownet_crystal.common.errors import ConfigError

_LONGEST_CUTOFF = 100.0


@dataclass(frozen=True)
class SiteSettings(CheckedFields):
    """Sizes of a :class:`~gflownet_crystal.models.sites.network.SiteNetwork`.

    Attributes:
        width: features of an orbit, and of a message.
        vectors: vector features of an orbit.
        n_layers: rounds of messages.
        n_radial: Gaussians of distance up to the cutoff.
        n_relative: Gaussians of the distance over the summed covalent radii.
        n_far: Gaussians of the distance to the nearest image, beyond the cutoff too.
        cutoff: Å; images beyond it are not summed.
        images: lattice translations of a pair that are looked at, at most; those nearest to the origin are taken.
        time_width: even number of features of the time.
    """

    place = "generator.network"

    width: Count = 96
    vectors: Count = 24
    n_layers: Count = 4
    n_radial: Several = 20
    n_relative: Several = 10
    n_far: Several = 6
    cutoff: Annotated[float, Bounds(least=1, most=_LONGEST_CUTOFF)] = 5.0
    images: Count = 96
    time_width: Count = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_width % 2:
            raise ConfigError(f"generator.network.time_width must be even, not {self.time_width}")
