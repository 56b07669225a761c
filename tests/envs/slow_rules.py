"""The rules of a crystal spec in plain Python, one object at a time: an independent answer for the batched masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise, product

import torch
from torch import Tensor

from gflownet_crystal.crystallography.oxidation import oxidation_table
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.structures.elements import SYMBOLS

NON_METALS = "H He B C N O F Ne Si P S Cl Ar As Se Br Kr Te I Xe Po At Rn"
MIXING = frozenset(SYMBOLS[1:]) - frozenset(NON_METALS.split())
"""Elements that mix valences where not all do."""


@cache
def orbits(group: int) -> tuple[frozenset[int], tuple[int, ...]]:
    """Multiplicities of the positions that hold any number of orbits, and of those that hold one."""
    positions = wyckoff_positions(group)
    free = frozenset(position.multiplicity for position in positions if position.degrees_of_freedom)
    fixed = sorted(
        (position.multiplicity for position in positions if not position.degrees_of_freedom), reverse=True
    )
    return free, tuple(fixed)


def fits_positions(group: int, counts: Sequence[int]) -> bool:
    """Whether the atoms can be shared out over the group's positions, by trying every way."""
    free, fixed = orbits(group)
    return _place(free, fixed, tuple(sorted((count for count in counts if count), reverse=True)))


@lru_cache(maxsize=1_000_000)
def _place(free: frozenset[int], fixed: tuple[int, ...], counts: tuple[int, ...]) -> bool:
    """Decide position by position which element, if any, takes it; what is left goes on free positions."""
    if not fixed:
        return all(_sum_of(free, count) for count in counts)
    orbit, others = fixed[0], fixed[1:]
    if _place(free, others, counts):
        return True
    for index, count in enumerate(counts):
        if count >= orbit and (index == 0 or counts[index - 1] != count):
            rest = tuple(sorted((*counts[:index], count - orbit, *counts[index + 1 :]), reverse=True))
            if _place(free, others, rest):
                return True
    return False


@cache
def _sum_of(parts: frozenset[int], total: int) -> bool:
    return total == 0 or any(part <= total and _sum_of(parts, total - part) for part in parts)


@cache
def totals(states: tuple[int, ...], count: int, mixed: bool) -> frozenset[int]:
    """Total charges of ``count`` atoms with these states."""
    if not mixed:
        return frozenset(count * state for state in states)
    found: set[int] = set()
    for same_sign in ([s for s in states if s > 0], [s for s in states if s < 0]):
        reachable = {0} if same_sign else set()
        for _ in range(count):
            reachable = {charge + state for charge in reachable for state in same_sign}
        found |= reachable
    return frozenset(found)


@cache
def neighbouring_totals(states: tuple[int, ...], count: int) -> frozenset[int]:
    """Total charges of ``count`` atoms: some have one positive state, the others the next, at most 2 away."""
    found = {count * state for state in states}
    for lower, upper in pairwise(states):
        if lower > 0 and upper - lower in (1, 2):
            found |= {many * lower + (count - many) * upper for many in range(count + 1)}
    return frozenset(found)


class SlowRules:
    """The constraints of a :class:`CompositionRules`, checked one composition at a time."""

    def __init__(self, rules: CompositionRules, metals: Sequence[str] = ()) -> None:
        setting = rules.oxidation_table
        table = {"base": setting} if isinstance(setting, str) else dict(setting)
        self.base = table.pop("base", None)
        states = oxidation_table(self.base) if self.base else {}
        self.states = states | {symbol: tuple(sorted(own)) for symbol, own in table.items()}
        self.rules, self.metals = rules, frozenset(metals)

    def valid(self, group: int, counts: Sequence[int]) -> bool:
        """Whether a composition is a valid whole in a space group."""
        return self.allowed(counts) and self.balanced(counts) and fits_positions(group, counts)

    def allowed(self, counts: Sequence[int]) -> bool:
        rules = self.rules
        present = {symbol: count for symbol, count in zip(rules.elements, counts, strict=True) if count}
        for symbol, count in present.items():
            least, most = rules.count_ranges.get(symbol, (1, rules.max_count))
            if symbol in rules.excluded_elements or not least <= count <= min(most, rules.max_count):
                return False
        return (
            set(rules.required_elements) <= set(present)
            and rules.n_elements[0] <= len(present) <= rules.n_elements[1]
            and rules.n_atoms[0] <= sum(present.values()) <= rules.n_atoms[1]
        )

    def balanced(self, counts: Sequence[int]) -> bool:
        present = [
            (symbol, count) for symbol, count in zip(self.rules.elements, counts, strict=True) if count
        ]
        if self.rules.metallic and (len(present) == 1 or all(symbol in self.metals for symbol, _ in present)):
            return True
        sets = sorted((self.totals(symbol, count) for symbol, count in present), key=len)
        charges = {0}
        for own in sets[:-1]:
            charges = {charge + other for charge in charges for other in own}
        # the largest set only has to hold the opposite of a sum of the others
        return any(-charge in sets[-1] for charge in charges)

    def totals(self, symbol: str, count: int) -> frozenset[int]:
        """Total charges of ``count`` atoms of an element."""
        states, mixed = tuple(self.states.get(symbol, ())), self.rules.mixed_valence
        if self.base != "plausible" or not mixed:
            return totals(states, count, mixed)
        return neighbouring_totals(states, count) if symbol in MIXING else totals(states, count, mixed=False)

    def enumerate(self, group: int) -> set[tuple[int, ...]]:
        """Every valid composition of a small space."""
        return {counts for counts in self._candidates() if self.valid(group, counts)}

    def _candidates(self) -> Iterator[tuple[int, ...]]:
        return product(range(self.rules.max_count + 1), repeat=len(self.rules.elements))


def as_tuples(counts: Tensor) -> set[tuple[int, ...]]:
    """Rows as a set."""
    return {tuple(row) for row in counts.tolist()}


def unique_rows(counts: Tensor) -> Tensor:
    """Distinct rows."""
    return torch.unique(counts, dim=0)
