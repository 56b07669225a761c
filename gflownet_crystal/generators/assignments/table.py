"""Frequencies of Wyckoff assignments in known crystals: a table by space group and counts, and by position.

Elements stand in the order of :func:`ordered_elements`, so that "the one of two equally frequent elements that is more
electronegative" means the same in every compound. Assignments are canonical under the normaliser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.crystallography.normalizer import canonical_assignment
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.generators.placing.orbit_tables import first_position
from gflownet_crystal.generators.wyckoff_assignments import Assignment
from gflownet_crystal.structures.elements import ELECTRONEGATIVITY, N_ATOMIC_NUMBERS
from gflownet_crystal.structures.occupied_positions import OccupiedPositions

Key = tuple[int, tuple[int, ...]]
"""Space group, and the counts of the elements in the conventional cell, rising."""

_Numbers = Counter[Assignment]

_UNKNOWN_ELECTRONEGATIVITY = 3.0
# counts added to those of a group's positions, for unseen crystals
_PRIOR = 2.0


def ordered_elements(composition: Tensor) -> Tensor:
    """Elements by rising count, then by rising electronegativity, absent ones last.

    Args:
        composition: (n, 119) int64.

    Returns:
        (n, 119) int64 atomic numbers; the first as many as the composition has elements count.
    """
    values = torch.from_numpy(np.nan_to_num(ELECTRONEGATIVITY, nan=_UNKNOWN_ELECTRONEGATIVITY))
    by_value = values.argsort(stable=True).to(composition.device)
    absent = torch.iinfo(torch.int64).max
    counts = composition[:, by_value]
    counts = torch.where((counts > 0) & (by_value > 0), counts, absent)
    ordered: Tensor = by_value[counts.argsort(dim=1, stable=True)]
    return ordered


def keys_of(space_group: Tensor, composition: Tensor) -> tuple[list[Key], Tensor]:
    """Keys of n specs, and their elements as :func:`ordered_elements` gives them."""
    elements = ordered_elements(composition)
    counts = composition.gather(1, elements)
    counts[:, N_ATOMIC_NUMBERS - 1] *= (elements[:, -1] > 0).long()
    rows = counts.cpu().tolist()
    keys = [
        (group, tuple(count for count in row if count > 0))
        for group, row in zip(space_group.cpu().tolist(), rows, strict=True)
    ]
    return keys, elements


def assignments_of(keys: list[Key], elements: Tensor, occupied: OccupiedPositions) -> list[Assignment]:
    """The canonical assignment of each of n crystals.

    Args:
        keys: n keys.
        elements: (n, 119) int64, their ordered elements.
        occupied: their orbits.
    """
    slot = elements.argsort(dim=1)[occupied.structure, occupied.atomic_number]
    found = positions_by_slot(keys, occupied.structure, slot, occupied.position)
    return [canonical_assignment(group, own) for (group, _), own in zip(keys, found, strict=True)]


def positions_by_slot(
    keys: Sequence[Key], structure: Tensor, slot: Tensor, position: Tensor
) -> list[Assignment]:
    """Positions of each of n crystals by element, as they are, rising.

    Args:
        keys: n keys.
        structure: (O,) int64, crystal of each orbit.
        slot: (O,) int64, place of the orbit's element in the key.
        position: (O,) int64, row of the Wyckoff table.
    """
    own: list[list[list[int]]] = [[[] for _ in counts] for _, counts in keys]
    for crystal, element, place in zip(structure.tolist(), slot.tolist(), position.tolist(), strict=True):
        own[crystal][element].append(place - first_position(keys[crystal][0]))
    return [tuple(tuple(sorted(positions)) for positions in one) for one in own]


@dataclass(frozen=True, eq=False)
class AssignmentTable:
    """Assignments of crystals, counted.

    Attributes:
        counts: number of crystals with each canonical assignment by key, the most frequent first.
    """

    counts: Mapping[Key, Mapping[Assignment, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[Key], assignments: Iterable[Assignment]) -> AssignmentTable:
        """Count the canonical assignments of crystals."""
        found: dict[Key, Counter[Assignment]] = {}
        for key, assignment in zip(keys, assignments, strict=True):
            found.setdefault(key, Counter())[assignment] += 1
        return cls({key: dict(found[key].most_common()) for key in sorted(found)})

    def __or__(self, other: AssignmentTable) -> AssignmentTable:
        """The larger of the numbers of both tables, so that crystals that are in both do not count twice."""
        return self._changed(other, lambda own, others: own | others)

    def __sub__(self, other: AssignmentTable) -> AssignmentTable:
        """The numbers without those of another table, none below zero."""
        return self._changed(other, lambda own, others: own - others)

    def _changed(
        self, other: AssignmentTable, change: Callable[[_Numbers, _Numbers], _Numbers]
    ) -> AssignmentTable:
        touched = {
            key: dict(change(Counter(self.seen(key)), Counter(found)).most_common())
            for key, found in other.counts.items()
        }
        merged = {**self.counts, **touched}
        return AssignmentTable({key: merged[key] for key in sorted(merged) if merged[key]})

    def seen(self, key: Key) -> Mapping[Assignment, int]:
        """Number of crystals of a key with each assignment; nothing for a key that was not seen."""
        return self.counts.get(key, {})

    @cached_property
    def orbits_at(self) -> NDArray[np.float64]:
        """Number of orbits on each position of the Wyckoff table, over all crystals, (1731,)."""
        orbits = np.zeros(len(wyckoff_table().group))
        for (group, _), found in self.counts.items():
            first = first_position(group)
            for assignment, n in found.items():
                for own in assignment:
                    np.add.at(orbits, first + np.array(own), n)
        return orbits

    @cached_property
    def log_share(self) -> NDArray[np.float64]:
        """Logarithm of each position's share of its group's orbits, (1731,).

        Groups with few crystals lean on how positions of as many free coordinates fare in all groups.
        """
        table = wyckoff_table()
        freedom, group = table.degrees_of_freedom, table.group
        by_freedom = np.bincount(freedom, self.orbits_at, 4) + 1.0
        prior = (by_freedom / np.bincount(freedom, minlength=4))[freedom]
        prior /= np.bincount(group, prior)[group]
        # a few crystals' worth of orbits
        weight = _PRIOR * np.bincount(group)[group]
        total = np.bincount(group, self.orbits_at)[group]
        share: NDArray[np.float64] = np.log((self.orbits_at + weight * prior) / (total + weight))
        return share

    @cached_property
    def own(self) -> Mapping[tuple[int, int], Mapping[tuple[int, ...], int]]:
        """By group and count of one element, number of elements with each set of positions."""
        found: dict[tuple[int, int], Counter[tuple[int, ...]]] = {}
        for (group, counts), assignments in self.counts.items():
            for assignment, n in assignments.items():
                for count, own in zip(counts, assignment, strict=True):
                    found.setdefault((group, count), Counter())[own] += n
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the table for a weights file, in small integer types."""
        entries = [(key, one, n) for key, found in self.counts.items() for one, n in found.items()]
        sizes = [len(own) for _, one, _ in entries for own in one]
        flat = [index for _, one, _ in entries for own in one for index in own]
        counts = [count for key in self.counts for count in key[1]]
        return {
            "key_group": torch.tensor([key[0] for key in self.counts], dtype=torch.uint8),
            "key_elements": torch.tensor([len(key[1]) for key in self.counts], dtype=torch.uint8),
            "key_assignments": torch.tensor(
                [len(found) for found in self.counts.values()], dtype=torch.int16
            ),
            "counts": torch.tensor(counts, dtype=torch.int16),
            "crystals": torch.tensor([n for _, _, n in entries], dtype=torch.int16),
            "orbits": torch.tensor(sizes, dtype=torch.int16),
            "positions": torch.tensor(flat, dtype=torch.uint8),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> AssignmentTable:
        """The table of :meth:`tensors`."""
        columns = {name: iter(tensor.tolist()) for name, tensor in tensors.items()}
        keys = zip(columns["key_group"], columns["key_elements"], columns["key_assignments"], strict=True)
        table: dict[Key, dict[Assignment, int]] = {}
        for group, n_elements, n_assignments in keys:
            counts = tuple(next(columns["counts"]) for _ in range(n_elements))
            found = table.setdefault((group, counts), {})
            for _ in range(n_assignments):
                sizes = [next(columns["orbits"]) for _ in range(n_elements)]
                own = tuple(tuple(next(columns["positions"]) for _ in range(size)) for size in sizes)
                found[own] = next(columns["crystals"])
        return cls(table)
