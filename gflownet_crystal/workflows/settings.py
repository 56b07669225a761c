"""Settings of a screening, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError

KEEP: Final = "keep"
_MOST_PLACED_A_CANDIDATE = 8


@dataclass(frozen=True)
class Screening:
    """Which of the sampled specs become candidates.

    Attributes:
        k: number of candidates.
        choose_from: number of specs with atoms that pass everything, of which the k nearest to the hull are kept; None
            for k.
        known: specs that are left out: those whose formula is known, or known in the same space group; ``keep``: none.
        charges: least number of known compounds in which each charge must occur with one of the anions of a spec, where
            charges can balance it; 0 for no limit.
        max_per_formula: most candidates of one reduced formula; None for any number.
        max_per_system: most candidates of one set of elements; None for any number.
        max_per_prototype: most candidates of one space group and anonymised formula; None for any number.
        volume_tolerance: relative difference of volumes per atom up to which specs of one formula and group are
            duplicates.
        better: share of the distinct specs, those nearest to the hull by the proxy, that may get atoms.
        order: order in which they do: random, that of the samples, or the best first.
        limits: whether specs outside the limits of the terms of ``reward=product`` are left out.
        by_reward: whether the reward says which specs are better, and not the energy above the hull.
        promising: eV/atom above the hull as placed, up to which a spec gets all tries and not one.
        within: eV/atom above the hull as placed, up to which a spec is a candidate; None for no limit.
        deepest: eV/atom above the hull as placed, below 0; lower energies are taken for errors; None for no limit.
        fill: whether places that are left go to the nearest of the others.
        most_placed: most specs that get atoms; None for 8 a candidate.
        batch_size: specs that get atoms at a time.
        seed: random seed of the random order.
    """

    k: int = 100
    choose_from: int | None = None
    known: Literal["formula", "formula_and_group", "keep"] = KEEP
    charges: int = 0
    max_per_formula: int | None = None
    max_per_system: int | None = None
    max_per_prototype: int | None = None
    volume_tolerance: float = 0.03
    better: float = 0.5
    order: Literal["random", "samples", "best"] = "random"
    limits: bool = True
    by_reward: bool = False
    promising: float = 0.2
    within: float | None = 0.05
    deepest: float | None = -0.1
    fill: bool = False
    most_placed: int | None = None
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is out of range.
        """
        fit_fields(self)
        at_least_one = ("k", "max_per_formula", "max_per_system", "max_per_prototype", "batch_size")
        for name in at_least_one:
            value = getattr(self, name)
            if value is not None and value < 1:
                none = "" if name in ("k", "batch_size") else ", or null"
                raise ConfigError(f"{name}={value} must be at least 1{none}")
        for name in ("choose_from", "most_placed"):
            value = getattr(self, name)
            if value is not None and value < self.k:
                raise ConfigError(f"{name} must be at least k={self.k}, or null, not {value}")
        if self.deepest is not None and not self.deepest < 0:
            raise ConfigError(f"deepest={self.deepest} is an energy below 0, or null")
        if self.charges < 0:
            raise ConfigError(f"charges={self.charges} is a number of compounds, or 0 for no limit")
        if not self.volume_tolerance >= 0:
            raise ConfigError(f"volume_tolerance={self.volume_tolerance} must not be negative")
        if not 0 < self.better <= 1:
            raise ConfigError(f"better={self.better} must be a share above 0 and at most 1")

    @property
    def target(self) -> int:
        """Specs that have to pass everything."""
        return self.k if self.choose_from is None else self.choose_from

    @property
    def budget(self) -> int:
        """Specs that get atoms at most."""
        return _MOST_PLACED_A_CANDIDATE * self.target if self.most_placed is None else self.most_placed
