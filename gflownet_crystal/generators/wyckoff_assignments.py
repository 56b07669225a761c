"""The ways to put the atoms of a composition on the Wyckoff positions of a group: counted, and listed lazily."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from math import comb, prod

from gflownet_crystal.crystallography.wyckoff import wyckoff_positions

Assignment = tuple[tuple[int, ...], ...]
"""For each element the indices of its orbits' positions in ``wyckoff_positions(group)``, rising, one an orbit."""


class WyckoffAssignments:
    """Assignments of one composition to the positions of one group.

    A position with free coordinates holds any number of orbits; a position without holds one, whatever the element.
    So the elements share the fixed positions: the state between two elements is, for each multiplicity, the number of
    fixed positions that are still empty.
    """

    def __init__(self, group: int, counts: Sequence[int]) -> None:
        """Prepare the look-ups of one composition.

        Args:
            group: ITA number, 1 to 230.
            counts: atoms of each element in the conventional cell, each at least 1.
        """
        positions = wyckoff_positions(group)
        self._counts = tuple(counts)
        self._multiplicity = tuple(position.multiplicity for position in positions)
        self._is_fixed = tuple(position.degrees_of_freedom == 0 for position in positions)
        fixed = Counter(m for m, is_fixed in zip(self._multiplicity, self._is_fixed, strict=True) if is_fixed)
        self._fixed_multiplicity = tuple(fixed)
        self._all_fixed = tuple(fixed.values())
        # caches hang on the instance, so they go with it
        self._reachable = cache(self._find_reachable)
        self._free_ways = cache(self._find_free_ways)
        self._ways = cache(self._find_ways)

    @property
    def total(self) -> int:
        """Number of assignments, counted without listing them."""
        return self._ways(0, self._all_fixed)

    def __iter__(self) -> Iterator[Assignment]:
        """Iterate over all assignments by rising number of orbits, lazily."""
        if self.total == 0:
            return
        smallest = min(self._multiplicity)
        most = sum(count // smallest for count in self._counts)
        for n_orbits in range(self._fewest_orbits(0), most + 1):
            yield from self._share(0, n_orbits, frozenset())

    def _share(self, element: int, n_orbits: int, used: frozenset[int]) -> Iterator[Assignment]:
        """Assignments of the elements from ``element`` on with ``n_orbits`` in all, leaving out ``used`` positions."""
        if element == len(self._counts):
            if n_orbits == 0:
                yield ()
            return
        if self._ways(element, self._remaining(used)) == 0:
            return
        is_last = element == len(self._counts) - 1
        most_own = n_orbits - self._fewest_orbits(element + 1)
        for n_own in (n_orbits,) if is_last else range(most_own, 0, -1):
            for own in self._orbits(0, self._counts[element], n_own, used):
                fixed = used.union(index for index in own if self._is_fixed[index])
                for later in self._share(element + 1, n_orbits - n_own, fixed):
                    yield (own, *later)

    def _orbits(
        self, first: int, count: int, n_orbits: int, used: frozenset[int]
    ) -> Iterator[tuple[int, ...]]:
        """Rising indices from ``first`` on of ``n_orbits`` orbits that hold ``count`` atoms."""
        if not self._reachable(first, count, n_orbits):
            return
        if n_orbits == 0:
            yield ()
            return
        if self._multiplicity[first] <= count and first not in used:
            rest = self._orbits(
                first + self._is_fixed[first], count - self._multiplicity[first], n_orbits - 1, used
            )
            for others in rest:
                yield (first, *others)
        yield from self._orbits(first + 1, count, n_orbits, used)

    def _fewest_orbits(self, element: int) -> int:
        """Fewest orbits of the elements from ``element`` on, as if none of them took another's fixed positions."""
        counts = self._counts[element:]
        return sum(next(n for n in range(1, k + 1) if self._reachable(0, k, n)) for k in counts)

    def _find_reachable(self, first: int, count: int, n_orbits: int) -> bool:
        if n_orbits == 0 or count <= 0 or first == len(self._multiplicity):
            return n_orbits == 0 and count == 0
        return self._reachable(first + 1, count, n_orbits) or self._reachable(
            first + self._is_fixed[first], count - self._multiplicity[first], n_orbits - 1
        )

    def _remaining(self, used: frozenset[int]) -> tuple[int, ...]:
        taken = Counter(self._multiplicity[index] for index in used)
        return tuple(n - taken[m] for m, n in zip(self._fixed_multiplicity, self._all_fixed, strict=True))

    def _find_ways(self, element: int, remaining: tuple[int, ...]) -> int:
        """Assignments of the elements from ``element`` on, with ``remaining`` empty fixed positions by multiplicity."""
        if element == len(self._counts):
            return 1
        total = 0
        for taken in product(*(range(n + 1) for n in remaining)):
            held = sum(n * m for n, m in zip(taken, self._fixed_multiplicity, strict=True))
            if held <= self._counts[element]:
                letters = prod(comb(n, k) for n, k in zip(remaining, taken, strict=True))
                left = tuple(n - k for n, k in zip(remaining, taken, strict=True))
                free = self._free_ways(0, self._counts[element] - held)
                total += letters * free and letters * free * self._ways(element + 1, left)
        return total

    def _find_free_ways(self, first: int, count: int) -> int:
        """Multisets of free positions from ``first`` on that hold ``count`` atoms."""
        if count <= 0 or first == len(self._multiplicity):
            return int(count == 0)
        ways = self._free_ways(first + 1, count)
        if not self._is_fixed[first]:
            ways += self._free_ways(first, count - self._multiplicity[first])
        return ways
