"""The likeliest Wyckoff assignments of a group and counts, by a table alone, one of each equivalent set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.crystallography.normalizer import position_permutations
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions, wyckoff_table
from gflownet_crystal.generators.assignments.table import AssignmentTable, Key
from gflownet_crystal.generators.placing.orbit_tables import first_position
from gflownet_crystal.generators.wyckoff_assignments import Assignment, WyckoffAssignments

_OWN_LISTED = 1000
_OWN_KEPT = 128
_WIDTH = 1024
# an element's set of positions counts as seen this often before any crystal is looked at
_PRIOR = 1.0
_REMEMBERED = 20_000
_MOST_POSITIONS = 10_000
_HASHES = np.random.default_rng(20).integers(1, 2**62, size=(128, 32), dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class Listing:
    """A assignments of one key with O orbits in all; those of an assignment stand together, by element.

    Attributes:
        assignments: A of them.
        score: (A,) float64, log-likelihood as if elements were independent, but for sharing positions.
        name: (A,) uint64, the same for equivalent assignments.
        n_orbits: (A,) int64.
        element: (O,) int64, the element of each orbit by its place in the key.
        position: (O,) int64, of each orbit, row of the Wyckoff table.
        features: (A, 8) float32, entries of the table for each, for a ranker.
        site_element: (S,) int64, the distinct pairs of an element and a position.
        site_position: (S,) int64, rows of the Wyckoff table.
        site_log_share: (S,) float32, logarithm of the position's share of its group's orbits.
        orbit_site: (O,) int64.
    """

    assignments: tuple[Assignment, ...]
    score: NDArray[np.float64]
    name: NDArray[np.uint64]
    n_orbits: NDArray[np.int64]
    element: NDArray[np.int64]
    position: NDArray[np.int64]
    features: NDArray[np.float32]
    site_element: NDArray[np.int64]
    site_position: NDArray[np.int64]
    site_log_share: NDArray[np.float32]
    orbit_site: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.assignments)


@dataclass(frozen=True, eq=False)
class _Own:
    """Sets of positions of one element with some count, the likeliest first."""

    sets: tuple[tuple[int, ...], ...]
    score: NDArray[np.float64]
    fixed: NDArray[np.int64]


class AssignmentLister:
    """Lists assignments by a table, and remembers the lists.

    Args:
        table: table of crystals.
        listed: assignments of a key at most.
    """

    def __init__(self, table: AssignmentTable, listed: int = 200) -> None:
        self.table, self.listed = table, listed
        self._own = lru_cache(_REMEMBERED)(self._find_own)
        self.of = lru_cache(_REMEMBERED)(self._find)

    def name(self, key: Key, assignment: Sequence[Sequence[int]]) -> np.uint64:
        """Name that equivalent assignments of a key share."""
        names = [_names(key[0], element, (tuple(own),)) for element, own in enumerate(assignment)]
        return np.uint64(np.concatenate(names).sum(0, dtype=np.uint64).min())

    def including(self, key: Key, assignment: Assignment) -> tuple[Listing, int]:
        """The assignments of a key with a given one among them, and its row."""
        listing = self.of(key)
        name = self.name(key, assignment)
        (rows,) = np.nonzero(listing.name == name)
        if len(rows):
            return listing, int(rows[0])
        assignments = [*listing.assignments, assignment]
        score = np.append(listing.score, self.score(key, assignment))
        return self._listing(key, assignments, score, np.append(listing.name, name)), len(listing)

    def only(self, key: Key, assignment: Assignment) -> Listing:
        """A given assignment of a key alone."""
        names = np.array([self.name(key, assignment)], dtype=np.uint64)
        return self._listing(key, [assignment], np.array([self.score(key, assignment)]), names, seen=())

    def score(self, key: Key, assignment: Assignment) -> float:
        """Log-likelihood of an assignment, elements being independent."""
        sets = zip(key[1], assignment, strict=True)
        return sum(float(self._score(key[0], count, [own])[0]) for count, own in sets)

    def _score(self, group: int, count: int, sets: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        seen = self.table.own.get((group, count), {})
        shares = self.table.log_share[first_position(group) :]
        guess = np.array([sum(shares[index] for index in own) for own in sets])
        hits = np.array([seen.get(own, 0) for own in sets])
        score: NDArray[np.float64] = np.log(hits + _PRIOR * np.exp(guess)) - np.log(
            sum(seen.values()) + _PRIOR
        )
        return score

    def _find_own(self, group: int, count: int) -> _Own:
        listed = [own for (own,) in islice(WyckoffAssignments(group, (count,)), _OWN_LISTED)]
        known = set(listed)
        listed += [own for own in self.table.own.get((group, count), {}) if own not in known]
        score = self._score(group, count, listed)
        best = np.argsort(-score, kind="stable")[:_OWN_KEPT]
        sets = tuple(listed[row] for row in best)
        positions = wyckoff_positions(group)
        fixed = [sum(1 << i for i in own if not positions[i].degrees_of_freedom) for own in sets]
        return _Own(sets, score[best], np.array(fixed, dtype=np.int64))

    def _find(self, key: Key) -> Listing:
        """The assignments of a key: those seen, then the best of a beam search over the elements."""
        group, counts = key
        if not counts:
            return self._listing(key, [], np.zeros(0), np.zeros(0, dtype=np.uint64))
        owns = [self._own(group, count) for count in counts]
        chosen, score = _beam(owns)
        names = np.zeros((len(score), len(position_permutations(group))), dtype=np.uint64)
        for element, own in enumerate(owns):
            names += _names(group, element, own.sets)[chosen[:, element]]
        name = names.min(1) if len(names) else np.zeros(0, dtype=np.uint64)
        seen = self.table.seen(key)
        first = np.unique(name, return_index=True)[1]
        known = np.array([self.name(key, one) for one in seen], dtype=np.uint64)
        first = np.sort(first[~np.isin(name[first], known)])[: max(0, self.listed - len(seen))]
        beamed = [
            tuple(own.sets[place] for own, place in zip(owns, row, strict=True))
            for row in chosen[first].tolist()
        ]
        scores = np.concatenate([[self.score(key, one) for one in seen], score[first]])
        return self._listing(key, [*seen, *beamed], scores, np.concatenate([known, name[first]]))

    def _listing(
        self,
        key: Key,
        assignments: list[Assignment],
        score: NDArray[np.float64],
        name: NDArray[np.uint64],
        seen: Sequence[int] | None = None,
    ) -> Listing:
        """Arrays of assignments of a key, those seen first, with the numbers of crystals that have them."""
        start = first_position(key[0])
        flat = [(element, index) for one in assignments for element, own in enumerate(one) for index in own]
        element, position = np.array(flat, dtype=np.int64).reshape(-1, 2).T
        position = position + start
        sites, orbit_site = np.unique(element * _MOST_POSITIONS + position, return_inverse=True)
        site_element, site_position = np.divmod(sites, _MOST_POSITIONS)
        n_orbits = np.array([sum(map(len, one)) for one in assignments], dtype=np.int64)
        owner = np.repeat(np.arange(len(assignments)), n_orbits)
        freedom = wyckoff_table().degrees_of_freedom[position].astype(np.float64)
        free = np.bincount(owner, freedom, len(assignments)).astype(np.float64)
        crystals = np.zeros(len(assignments))
        seen = list(self.table.seen(key).values()) if seen is None else seen
        crystals[: len(seen)] = seen
        share = self.table.log_share[site_position].astype(np.float32)
        return Listing(
            tuple(assignments), score, name, n_orbits, element, position,
            _features(score, crystals, n_orbits, free), site_element, site_position, share, orbit_site,
        )  # fmt: skip


def _features(
    score: NDArray[np.float64],
    crystals: NDArray[np.float64],
    n_orbits: NDArray[np.int64],
    free: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Table features of the assignments of a key, scaled to about one, (A, 8)."""
    total = crystals.sum()
    behind = score - score.max(initial=-np.inf)
    columns = [
        behind / 3.0,
        np.exp(behind),
        score / 10.0,
        np.log1p(crystals),
        crystals / (total + 1.0),
        np.full(len(score), np.log1p(total) / 3.0),
        n_orbits / 8.0,
        free / 8.0,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _names(group: int, element: int, sets: tuple[tuple[int, ...], ...]) -> NDArray[np.uint64]:
    """Contribution of each set of positions of an element to the names, by motion of the normaliser, (s, k)."""
    permutations = position_permutations(group)
    rows = [_HASHES[element][permutations[:, list(own)]].sum(1, dtype=np.uint64) for own in sets]
    return np.array(rows, dtype=np.uint64).reshape(len(sets), len(permutations))


def _beam(owns: Sequence[_Own]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places (b, m) in the lists of m elements whose sets share no fixed position, and scores, the best first."""
    chosen = np.zeros((1, 0), dtype=np.int64)
    score, fixed = np.zeros(1), np.zeros(1, dtype=np.int64)
    for own in owns:
        free = (fixed[:, None] & own.fixed) == 0
        total = np.where(free, score[:, None] + own.score, -np.inf)
        flat = total.ravel()
        kept = np.argpartition(-flat, _WIDTH)[:_WIDTH] if len(flat) > _WIDTH else np.arange(len(flat))
        kept = kept[np.isfinite(flat[kept])]
        kept = kept[np.lexsort((kept, -flat[kept]))]
        before, place = np.divmod(kept, max(1, len(own.score)))
        chosen = np.column_stack([chosen[before], place])
        score, fixed = flat[kept], fixed[before] | own.fixed[place]
    return chosen, score
