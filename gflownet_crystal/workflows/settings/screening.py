"""Settings of a screening, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Bounds, Count, NonNegative, Whole
from gflownet_crystal.common.errors import ConfigError

KEEP: Final = "keep"
_MOST_PLACED_A_CANDIDATE = 8


@dataclass(frozen=True)
class Screening(CheckedFields):
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
        order: order in which specs get atoms: random, that of the samples, or the best first.
        limits: whether specs outside the limits of the terms of ``reward=product`` are left out.
        by_reward: whether the reward says which specs are better, and not the energy above the hull.
        promising: largest energy above the hull of the first structure, eV/atom, at which a spec gets all its tries.
        agreeing: number of tries that must have the lowest energy of a spec, within 5 meV/atom, before it gets no more;
            None for all tries.
        within: largest energy above the hull of a candidate before relaxation, eV/atom; None for no limit.
        deepest: lowest energy above the hull of a candidate before relaxation, eV/atom, below 0; lower energies count
            as errors; None for no limit.
        fill: whether specs that missed the limits make up the number k, nearest to the hull first.
        most_placed: largest number of specs that get atoms; None for 8 times the number that must pass.
        batch_size: specs that get atoms at a time.
        seed: random seed of the random order.
    """

    k: Count = 100
    choose_from: int | None = None
    known: Literal["formula", "formula_and_group", "keep"] = KEEP
    charges: Whole = 0
    max_per_formula: Count | None = None
    max_per_system: Count | None = None
    max_per_prototype: Count | None = None
    volume_tolerance: NonNegative = 0.03
    better: Annotated[float, Bounds(above=0, most=1)] = 0.5
    order: Literal["random", "samples", "best"] = "random"
    limits: bool = True
    by_reward: bool = False
    promising: float = 0.2
    agreeing: Count | None = 2
    within: float | None = 0.05
    deepest: Annotated[float, Bounds(below=0)] | None = -0.1
    fill: bool = False
    most_placed: int | None = None
    batch_size: Count = 32
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("choose_from", "most_placed"):
            value = getattr(self, name)
            if value is not None and value < self.k:
                raise ConfigError(f"{name} must be at least k={self.k}, or null, not {value}")

    @property
    def target(self) -> int:
        """Number of specs that must pass every check."""
        return self.k if self.choose_from is None else self.choose_from

    @property
    def budget(self) -> int:
        """Largest number of specs that get atoms."""
        return _MOST_PLACED_A_CANDIDATE * self.target if self.most_placed is None else self.most_placed
