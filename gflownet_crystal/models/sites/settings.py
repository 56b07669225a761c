"""Sizes of the network on sites."""

from __future__ import annotations

from dataclasses import dataclass

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError

_LONGEST_CUTOFF = 100.0


@dataclass(frozen=True)
class SiteSettings:
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

    Raises:
        ConfigError: a number is not positive, ``time_width`` is odd, or the cutoff above 100 Å.
    """

    width: int = 96
    vectors: int = 24
    n_layers: int = 4
    n_radial: int = 20
    n_relative: int = 10
    n_far: int = 6
    cutoff: float = 5.0
    images: int = 96
    time_width: int = 32

    def __post_init__(self) -> None:
        """Check ranges."""
        fit_fields(self, "generator.network")
        for name, value in vars(self).items():
            least = 2 if name.startswith("n_") and name != "n_layers" else 1
            if not value >= least:
                raise ConfigError(f"generator.network.{name} must be at least {least}, not {value}")
        if self.time_width % 2:
            raise ConfigError(f"generator.network.time_width must be even, not {self.time_width}")
        if self.cutoff > _LONGEST_CUTOFF:
            raise ConfigError(
                f"generator.network.cutoff must be at most {_LONGEST_CUTOFF:g} Å, not {self.cutoff:g}"
            )
