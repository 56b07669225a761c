"""Chemical systems, the sets of elements of compounds: one number each, and the systems within another one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.proxies.hull import MAX_ELEMENTS, by_number_of_elements, checked_composition
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.packed_compositions import pack_compositions, unpack_compositions

FEWEST_ENTRIES = 12
"""Entries of a chemical system below which its hull counts as sparse."""

_MOST_ENTRIES = 2**15 - 1


def system_keys(elements: Tensor) -> Tensor:
    """One number (n,) for each set of at most 8 elements (n, k), ascending atomic numbers: digits in base 119."""
    return (elements * N_ATOMIC_NUMBERS ** torch.arange(elements.shape[1])).sum(1)


def by_system(composition: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Order (m,) of compounds by chemical system; key, first compound and number of compounds of each system (s,).

    Args:
        composition: (m, 119) int64 counts, at most 8 elements each.
    """
    row, number = composition.nonzero(as_tuple=True)
    n_elements = (composition > 0).sum(1)
    digit = torch.arange(len(row)) - (n_elements.cumsum(0) - n_elements)[row]
    keys = torch.zeros(len(composition), dtype=torch.int64)
    keys, order = keys.index_add_(0, row, number * N_ATOMIC_NUMBERS**digit).sort(stable=True)
    distinct, counts = torch.unique_consecutive(keys, return_counts=True)
    return order, distinct, counts.cumsum(0) - counts, counts


def places_within(elements: Tensor, keys: Tensor, fewest: int) -> tuple[Tensor, Tensor]:
    """Where the systems within each set of elements stand among known ones.

    Args:
        elements: (n, k) atomic numbers, ascending.
        keys: (s,) of the known systems, ascending.
        fewest: number of elements from which on systems are looked up.

    Returns:
        Places in ``keys`` and whether the system is known, both (n, subsets); of no subset, one that is not known.
    """
    k = elements.shape[1]
    subsets = [list(chosen) for size in range(fewest, k + 1) for chosen in combinations(range(k), size)]
    if not subsets or len(keys) == 0:
        return torch.zeros(len(elements), 1, dtype=torch.int64), torch.zeros(
            len(elements), 1, dtype=torch.bool
        )
    wanted = torch.stack([system_keys(elements[:, subset]) for subset in subsets], dim=1)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return place, keys[place] == wanted


class SystemEntries:
    """Numbers of known crystals in chemical systems: the evidence for the hull there.

    Args:
        systems: (s, 119) int64; 1 for each element of a system, at most 8 of them; no system twice.
        entries: (s,) int64 crystals with all of these elements and no others.
    """

    def __init__(self, systems: Tensor, entries: Tensor) -> None:
        order, self._keys, _, _ = by_system(systems)
        self.systems, self.entries = systems[order], entries[order]

    @classmethod
    def count(cls, composition: Tensor) -> Self:
        """The systems of n known crystals (n, 119); those of more than 8 elements are left out."""
        present = (composition > 0).long()
        systems, entries = present[present.sum(1) <= MAX_ELEMENTS].unique(dim=0, return_counts=True)
        return cls(systems, entries.clamp(max=_MOST_ENTRIES))

    def within(self, composition: Tensor) -> Tensor:
        """Known crystals (n,) int64 of the elements of each composition, or of some of them.

        Args:
            composition: (n, 119) int64 counts.

        Raises:
            ProxyError: a composition is empty, has an unknown element or more than 8 elements.
        """
        composition = checked_composition(composition)
        total = torch.zeros(len(composition), dtype=torch.int64)
        if len(self.entries):
            for rows, elements, _ in by_number_of_elements(composition):
                place, known = places_within(elements, self._keys, 1)
                total[rows] = torch.where(known, self.entries[place], 0).sum(1)
        return total

    def sparse(self, composition: Tensor) -> Tensor:
        """Whether fewer than 12 known crystals make the hull of a composition, (n,) bool; see :meth:`within`."""
        return self.within(composition) < FEWEST_ENTRIES

    def tensors(self) -> dict[str, Tensor]:
        """The table in few bytes, for a file."""
        packed = pack_compositions(self.systems)
        entries = self.entries.to(torch.int16)
        return {"n_elements": packed["n_elements"], "elements": packed["elements"], "entries": entries}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Inverse of :meth:`tensors`."""
        packed = {**tensors, "counts": torch.ones_like(tensors["elements"])}
        return cls(unpack_compositions(packed), tensors["entries"].long())
