"""Verdicts of judges on structures: shares at several distances to the hull, by one judge or all, and doubts.

A hull that rests on few known crystals is too high, and energies far below a hull are more often errors than finds.
Both are counted and flagged, so that nobody takes them for stability. A structure counts for all judges where each of
them calls it stable and novel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.evaluation.stability import most_stable_of_kind, stability
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES
from gflownet_crystal.proxies.hull import FAR_BELOW
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Verdict:
    """Energies and stability of structures by one judge.

    Attributes:
        n: number of structures given to the judge.
        rows: (m,) int64, rows of those with an energy.
        relaxed: m structures with an energy, relaxed.
        above: (m,) float64, eV/atom above the hull; NaN where the hull has no energy.
        unique: (m,) bool, the most stable among duplicates.
        novel: (m,) bool, not in the reference.
        entries: (m,) int64, number of known crystals in the chemical system of the hull; None where unknown.
    """

    n: int
    rows: Tensor
    relaxed: StructureBatch
    above: Tensor
    unique: Tensor
    novel: Tensor
    entries: Tensor | None = None

    @property
    def sparse(self) -> Tensor:
        """Whether fewer than 12 known crystals make the hull, (m,) bool; false where that is not known."""
        return torch.zeros_like(self.unique) if self.entries is None else self.entries < FEWEST_ENTRIES

    @property
    def far_below(self) -> Tensor:
        """Whether a structure lies more than 0.1 eV/atom below the hull, (m,) bool."""
        return self.above < FAR_BELOW

    def figures(self, thresholds: Sequence[float]) -> dict[str, object]:
        """Shares of all structures that were to be judged, failures included.

        Args:
            thresholds: eV/atom up to which a structure is stable, at least one; the first is that of ``stable``,
                ``sun`` and ``systems_per_sun``.

        Returns:
            The figures of :class:`~gflownet_crystal.evaluation.stability.Stability`, the shares at each threshold by
            its text, different chemical systems a S.U.N. structure (NaN if there is none), and counts of flags.
        """
        stored = asdict(stability(self.above, self.unique, self.novel, self.n, thresholds[0]))
        sun = self.above.isfinite() & self.unique & self.novel
        found = {f"{t:g}": sun & (self.above <= t) for t in thresholds}
        first = found[f"{thresholds[0]:g}"]
        systems = {name: self._systems(chosen) for name, chosen in found.items()}
        stable = {f"{t:g}": int((self.above <= t).sum()) / self.n for t in thresholds}
        flagged = self.sparse | self.far_below
        return stored | {
            "threshold": thresholds[0],
            "systems_per_sun": systems[f"{thresholds[0]:g}"],
            "stable_at": stable,
            "sun_at": {name: int(chosen.sum()) / self.n for name, chosen in found.items()},
            "systems_per_sun_at": systems,
            "n_sparse": None if self.entries is None else int(self.sparse.sum()),
            "n_far_below": int(self.far_below.sum()),
            "n_sun_flagged": int((first & flagged).sum()),
        }

    def _systems(self, chosen: Tensor) -> float:
        """Different chemical systems of chosen structures, by the number of these; NaN if there are none."""
        if not bool(chosen.any()):
            return float("nan")
        present = self.relaxed.composition[chosen] > 0
        return len(present.unique(dim=0)) / len(present)


def by_all(verdicts: Sequence[Verdict], tolerances: Tolerances, work: Work) -> Verdict:
    """The verdict of several judges together: each structure by the one that thinks least of it.

    Args:
        verdicts: verdicts of the same n structures, at least one.
        tolerances: tolerances of matches.
        work: settings of the execution.

    Returns:
        Of the structures that all could judge, the first judge's relaxed ones with the greatest of their distances to
        the hull; novel where all say so, unique among themselves.

    Raises:
        DataError: no verdicts, or of different numbers of structures.
        KeyboardInterrupt: a stop was asked for.
    """
    if not verdicts or len({verdict.n for verdict in verdicts}) != 1:
        raise DataError("verdicts of the same structures are needed, at least one; give judges of one set")
    judged = [verdict.rows[verdict.above.isfinite()] for verdict in verdicts]
    rows = functools.reduce(lambda mine, other: mine[torch.isin(mine, other)], judged)
    places = [_places(verdict.rows, rows) for verdict in verdicts]
    above = torch.stack([v.above[p] for v, p in zip(verdicts, places, strict=True)]).amax(0)
    novel = torch.stack([v.novel[p] for v, p in zip(verdicts, places, strict=True)]).all(0)
    first, place = verdicts[0], places[0]
    relaxed = first.relaxed[place]
    unique = most_stable_of_kind(relaxed, above, tolerances, work) if len(rows) else novel
    entries = None if first.entries is None else first.entries[place]
    return Verdict(first.n, rows, relaxed, above, unique, novel, entries)


def _places(rows: Tensor, wanted: Tensor) -> Tensor:
    """Where each of the wanted rows stands among rows, (k,) int64."""
    order = rows.argsort()
    return order[torch.searchsorted(rows[order], wanted)]
