"""Which compositions a space group can hold: joint occupation of its Wyckoff positions as an automaton.

An element with count k needs orbits whose multiplicities add up to k. A position with free coordinates holds any
number of orbits; a position without holds one orbit, whatever the element, so the elements compete for those. The
state of a partial composition is therefore the number of fixed positions of each multiplicity that are used. Using
fewer never hurts, so a state keeps only the minimal usages (an antichain under dominance); it does not depend on the
order of the elements and stepping by an element is one table look-up.
"""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.crystallography.wyckoff import wyckoff_table

IMPOSSIBLE = 0
"""State of a partial composition that the group cannot hold; nothing leads out of it."""

Signature = tuple[frozenset[int], tuple[tuple[int, int], ...]]
"""Key of the occupation in a group: free multiplicities, and (multiplicity, number) of the fixed positions."""


def check_counts(counts: Tensor, max_count: int) -> None:
    """Raise ConfigError unless all of ``counts`` lie between 0 and ``max_count``."""
    if counts.numel() and bool(((counts < 0) | (counts > max_count)).any()):
        raise ConfigError(f"counts reach from {counts.min()} to {counts.max()}; allowed are 0 to {max_count}")


class WyckoffOccupation(MovedToDevice):
    """Deterministic automaton over the compositions that each space group can hold.

    Start at ``initial[group]`` and follow ``state = transition[state, count]`` once per element, in any order; the
    composition fits while the state is not IMPOSSIBLE (0).

    Attributes:
        max_count: largest count of one element, in atoms of the conventional cell.
        initial: (231,) int64, state of the empty composition in each group; entry 0 is IMPOSSIBLE.
        transition: (n_states, max_count + 1) int64, next state; a count of 0 stays.
    """

    def __init__(self, max_count: int) -> None:
        """Tabulate every state that compositions with counts 1..max_count can reach.

        Raises:
            ConfigError: ``max_count`` is less than 1.
        """
        if max_count < 1:
            raise ConfigError(f"max_count is {max_count}; the largest count of an element must be at least 1")
        self.max_count = max_count
        rows = [np.zeros(max_count + 1, dtype=np.int64)]
        initial = np.zeros(N_SPACE_GROUPS + 1, dtype=np.int64)
        offset_of: dict[Signature, int] = {}
        for group in range(1, N_SPACE_GROUPS + 1):
            signature = _signature(group, max_count)
            if signature not in offset_of:
                offset_of[signature] = len(rows)
                rows.extend(_explore(signature, max_count, first_state=len(rows)))
            initial[group] = offset_of[signature]
        self.initial: Tensor = torch.from_numpy(initial)
        self.transition: Tensor = torch.from_numpy(np.stack(rows))

    def fits(self, space_group: Tensor, counts: Tensor) -> Tensor:
        """Whether each composition can occupy its group's Wyckoff positions, (n,) bool.

        Args:
            space_group: (n,) int64 ITA numbers.
            counts: (n, m) int64 counts of m elements in the conventional cell, 0..max_count.

        Raises:
            ConfigError: a count is negative or above ``max_count``.
        """
        check_counts(counts, self.max_count)
        state = self.initial[space_group]
        for column in counts.unbind(dim=1):
            state = self.transition[state, column]
        return state != IMPOSSIBLE


def _signature(group: int, max_count: int) -> Signature:
    table = wyckoff_table()
    usable = (table.group == group) & (table.multiplicity <= max_count)
    free = table.multiplicity[usable & (table.degrees_of_freedom > 0)]
    fixed = table.multiplicity[usable & (table.degrees_of_freedom == 0)]
    return frozenset(free.tolist()), tuple(sorted(Counter(fixed.tolist()).items()))


def _reachable_counts(multiplicities: frozenset[int], max_count: int) -> list[bool]:
    """Counts 0..max_count that any number of orbits on free positions adds up to."""
    reachable = [True] + [False] * max_count
    for count in range(1, max_count + 1):
        reachable[count] = any(count >= orbit and reachable[count - orbit] for orbit in multiplicities)
    return reachable


def _explore(signature: Signature, max_count: int, first_state: int) -> list[NDArray[np.int64]]:
    """Rows of the transition table for the states reachable in one signature, numbered from ``first_state``."""
    free, fixed = signature
    steps, dominated = _usage_steps(_reachable_counts(free, max_count), fixed)
    # a state is a bit set over usages; usage 0 (nothing used) is bit 0
    number_of = {1: first_state}
    states = [1]
    rows = []
    # the list grows while it is walked: breadth first
    for state in states:
        row = np.zeros(max_count + 1, dtype=np.int64)
        row[0] = number_of[state]
        for count in range(1, max_count + 1):
            successor = _minimal(_union(steps[count], state), dominated)
            if not successor:
                continue
            if successor not in number_of:
                number_of[successor] = first_state + len(states)
                states.append(successor)
            row[count] = number_of[successor]
        rows.append(row)
    return rows


def _usage_steps(
    free_counts: list[bool], fixed: tuple[tuple[int, int], ...]
) -> tuple[list[list[int]], list[int]]:
    """Moves between usages of the fixed positions.

    Returns:
        steps[count][usage]: bit set of the usages after an element with that count is added;
        dominated[usage]: bit set of the usages that use strictly more.
    """
    usages = list(product(*(range(number + 1) for _, number in fixed)))
    index_of = {usage: index for index, usage in enumerate(usages)}
    atoms = [sum(used * orbit for used, (orbit, _) in zip(usage, fixed, strict=True)) for usage in usages]
    steps = [[0] * len(usages) for _ in free_counts]
    dominated = [0] * len(usages)
    for before, added in product(range(len(usages)), repeat=2):
        after = index_of.get(tuple(a + b for a, b in zip(usages[before], usages[added], strict=True)))
        if after is None:
            continue
        if added:
            dominated[before] |= 1 << after
        for count in range(atoms[added], len(free_counts)):
            if free_counts[count - atoms[added]]:
                steps[count][before] |= 1 << after
    return steps, dominated


def _union(sets: list[int], members: int) -> int:
    union = 0
    for index, value in enumerate(sets):
        if members >> index & 1:
            union |= value
    return union


def _minimal(usages: int, dominated: list[int]) -> int:
    return usages & ~_union(dominated, usages)
