"""Small crystal spaces enumerated by loops over counts; the checks share nothing with the masks but the tables."""

from __future__ import annotations

from functools import cache
from itertools import product

import torch
from torch import Tensor

from gflownet_crystal.crystallography.oxidation import OxidationTable
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.envs.composition.rules import CompositionRules


def enumerate_space(rules: CompositionRules, groups: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """All (group, composition) pairs of a space with mixed valence and no metals.

    Returns:
        (k,) int64 space groups and (k, E) int64 counts of the vocabulary's elements.
    """
    neutral = [counts for counts in _within_ranges(rules) if _is_neutral(rules, counts)]
    pairs = [(group, counts) for group in groups for counts in neutral if _fits(group, counts)]
    return torch.tensor([group for group, _ in pairs]), torch.tensor([counts for _, counts in pairs])


def _within_ranges(rules: CompositionRules) -> list[tuple[int, ...]]:
    (fewest, most), (least_atoms, most_atoms) = rules.n_elements, rules.n_atoms
    found = product(range(rules.max_count + 1), repeat=rules.n_vocabulary)
    return [
        counts
        for counts in found
        if fewest <= sum(count > 0 for count in counts) <= most and least_atoms <= sum(counts) <= most_atoms
    ]


def _is_neutral(rules: CompositionRules, counts: tuple[int, ...]) -> bool:
    table = OxidationTable.of(rules.oxidation_table)
    reachable = {0}
    for symbol, count in zip(rules.elements, counts, strict=True):
        if count:
            totals = {total for states in table.together(symbol, True) for total in _totals(states, count)}
            reachable = {charge + total for charge in reachable for total in totals}
    return 0 in reachable


@cache
def _totals(states: tuple[int, ...], count: int) -> frozenset[int]:
    """Total charges of ``count`` atoms that each have one of the states."""
    totals = {0}
    for _ in range(count):
        totals = {total + state for total in totals for state in states}
    return frozenset(totals)


def _fits(group: int, counts: tuple[int, ...]) -> bool:
    """Whether every atom finds a place: elements take disjoint sets of the positions that hold one orbit only."""
    taken = {0}
    for count in filter(None, counts):
        taken = {used | subset for used in taken for subset in _subsets(group, count) if not used & subset}
    return bool(taken)


@cache
def _subsets(group: int, count: int) -> tuple[int, ...]:
    """Sets of fixed positions, as bits, that one element of that count can fill, the rest being on free positions."""
    positions = wyckoff_positions(group)
    fixed = [position.multiplicity for position in positions if position.degrees_of_freedom == 0]
    free = sorted({position.multiplicity for position in positions if position.degrees_of_freedom > 0})
    filled = [
        sum(size for place, size in enumerate(fixed) if bits >> place & 1) for bits in range(1 << len(fixed))
    ]
    return tuple(bits for bits, atoms in enumerate(filled) if _is_sum(count - atoms, free))


def _is_sum(count: int, sizes: list[int]) -> bool:
    return count == 0 or any(count >= size and _is_sum(count - size, sizes) for size in sizes)
