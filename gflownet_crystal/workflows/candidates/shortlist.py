"""Which specs of a sampler may get atoms, and in which order: new ones, distinct ones, the better part by the proxy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log1p

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.objective_columns import term_columns
from gflownet_crystal.common.run_schema import LOG_REWARD, WITHIN_LIMITS
from gflownet_crystal.crystallography.anion_charges import unusual_charges
from gflownet_crystal.crystallography.space_groups import first_hand_of_group
from gflownet_crystal.data.schema import HULL_COLUMN
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.settings.screening import KEEP, Screening

KNOWN_COLUMNS = ("known_formula", "known_formula_and_group")
"""Whether a formula is known, and whether in its space group; mirror images count as equal."""

Key = tuple[int, ...]


@dataclass(frozen=True)
class Kinds:
    """Kinds of specs, by which they count as the same; n entries each.

    Attributes:
        formula: reduced, as elements and counts.
        system: elements.
        prototype: space group and anonymised formula, whose counts ascend.
        log_volume: logarithm of the volume per atom in Å^3.
        group: space group, the first of each two mirror images.
    """

    formula: list[Key]
    system: list[Key]
    prototype: list[Key]
    log_volume: list[float]
    group: list[int]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Kinds:
        """Kinds of the specs of a table.

        Raises:
            DataError: a row is not a spec.
        """
        specs = frame_to_specs(frame)
        groups = first_hand_of_group[specs.space_group.numpy()].tolist()
        made = cls([], [], [], specs.volume_per_atom.log().tolist(), groups)
        for counts, group in zip(reduce_composition(specs.composition).numpy(), groups, strict=True):
            elements = np.flatnonzero(counts)
            made.system.append(tuple(elements.tolist()))
            made.formula.append((*made.system[-1], *counts[elements].tolist()))
            made.prototype.append((group, *sorted(counts[elements].tolist())))
        return made

    def extend(self, others: Kinds) -> None:
        """Append those of further specs."""
        for name, entries in vars(self).items():
            entries += getattr(others, name)


class Distinct:
    """Tells specs apart by formula, group and volume.

    Args:
        kinds: kinds of all specs, which may grow in number.
        volume_tolerance: relative difference of volumes up to which specs of one formula and group are duplicates.
    """

    def __init__(self, kinds: Kinds, volume_tolerance: float) -> None:
        self._kinds, self._width = kinds, log1p(volume_tolerance)
        self._volumes: defaultdict[tuple[Key, int], list[float]] = defaultdict(list)

    def add(self, row: int) -> bool:
        """Whether a spec is none of those added before; it is added then."""
        near = self._volumes[self._kinds.formula[row], self._kinds.group[row]]
        volume = self._kinds.log_volume[row]
        if any(abs(volume - other) <= self._width for other in near):
            return False
        near.append(volume)
        return True


def distinct_rows(frame: pd.DataFrame, volume_tolerance: float = 0.03) -> list[int]:
    """Positions of the rows of a table of specs that are no duplicates of an earlier one.

    Args:
        frame: columns of a spec file.
        volume_tolerance: tolerance of :class:`Distinct`.

    Raises:
        DataError: a row is not a spec.
    """
    distinct = Distinct(Kinds.of(frame), volume_tolerance)
    return [row for row in range(len(frame)) if distinct.add(row)]


class Quota:
    """Maximum number of crystals of a formula, a chemical system and a prototype.

    Args:
        kinds: kinds of all specs.
        settings: the limits.
    """

    def __init__(self, kinds: Kinds, settings: Screening) -> None:
        limits = (
            (kinds.formula, settings.max_per_formula),
            (kinds.system, settings.max_per_system),
            (kinds.prototype, settings.max_per_prototype),
        )
        self._limits = [(keys, limit) for keys, limit in limits if limit is not None]
        self._counts: list[Counter[Key]] = [Counter() for _ in self._limits]

    def admits(self, row: int) -> bool:
        """Whether one more spec of these kinds may be taken."""
        pairs = zip(self._limits, self._counts, strict=True)
        return all(counts[keys[row]] < limit for (keys, limit), counts in pairs)

    def take(self, row: int, times: int = 1) -> None:
        """Count a spec; ``times=-1`` takes it back."""
        for (keys, _), counts in zip(self._limits, self._counts, strict=True):
            counts[keys[row]] += times


class Shortlist:
    """The specs of tables that may get atoms.

    Args:
        tables: the samples, then further ones; columns of a spec file and ``e_above_hull``, drawn when they are needed.
        settings: settings of the selection.
        known: compounds that count as known.

    Attributes:
        frame: all specs so far, with the columns ``known_formula`` and ``known_formula_and_group``.
        kinds: kinds of the same specs.
        quota: quota of those already taken.
        counts: specs left after each step, by name.
    """

    def __init__(self, tables: Iterator[pd.DataFrame], settings: Screening, known: KnownCompounds) -> None:
        self._tables, self._settings, self._known = tables, settings, known
        self._waiting: list[int] = []
        self.frame = pd.DataFrame()
        self.kinds = Kinds([], [], [], [], [])
        self._distinct = Distinct(self.kinds, settings.volume_tolerance)
        self.quota = Quota(self.kinds, settings)
        self.counts = {"sampled": 0, "new": 0, "charges": 0, "limits": 0, "distinct": 0, "better": 0}
        self._n_tables = 0

    def following(self, n: int) -> list[int]:
        """The next at most n rows that the quota admits; none where all tables are used up."""
        while not (chosen := self._admitted(n)):
            table = next(self._tables, None)
            # a sampler that finds nothing new any more is not asked for ever
            if table is None or not (self._add(table) or self._n_tables == 1):
                return []
        return chosen

    def _admitted(self, n: int) -> list[int]:
        """The next at most n rows that the quota admits together; those before them that it never will are dropped."""
        chosen: list[int] = []
        others: list[int] = []
        for row in self._waiting:
            if len(chosen) == n:
                break
            if self.quota.admits(row):
                self.quota.take(row)
                chosen.append(row)
            else:
                others.append(row)
        # their outcome is not known yet
        for row in chosen:
            self.quota.take(row, -1)
        seen = len(chosen) + len(others)
        self._waiting = [row for row in others if self.quota.admits(row)] + self._waiting[seen:]
        return chosen

    def _add(self, table: pd.DataFrame) -> bool:
        """Take in a table; whether any of its specs may get atoms."""
        self._n_tables += 1
        start = len(self.frame)
        table = with_known(table, self._known)
        kinds = Kinds.of(table)
        self.frame = (
            pd.concat([self.frame, table], ignore_index=True) if start else table.reset_index(drop=True)
        )
        self.kinds.extend(kinds)
        rows = np.arange(start, len(self.frame))
        self.counts["sampled"] += len(rows)
        if self._settings.known != KEEP:
            rows = rows[~table[f"known_{self._settings.known}"].to_numpy(dtype=bool)]
        self.counts["new"] += len(rows)
        if self._settings.charges:
            rows = rows[~unusual(table.iloc[rows - start], self._settings.charges)]
        self.counts["charges"] += len(rows)
        if self._settings.limits and WITHIN_LIMITS in table.columns:
            rows = rows[table[WITHIN_LIMITS].eq(True).to_numpy(dtype=bool)[rows - start]]
        self.counts["limits"] += len(rows)
        ranked = rows[rank_rows(self.frame.iloc[rows], self._settings.by_reward)]
        distinct = np.array([row for row in ranked.tolist() if self._distinct.add(row)], dtype=np.int64)
        self.counts["distinct"] += len(distinct)
        better = distinct[: ceil(self._settings.better * len(distinct))]
        self.counts["better"] += len(better)
        self._waiting += self._in_order(better).tolist()
        return len(better) > 0

    def _in_order(self, ranked: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows, best first, in the order in which they get atoms."""
        if self._settings.order == "best":
            return ranked
        rows: NDArray[np.int64] = np.sort(ranked)
        if self._settings.order == "samples":
            return rows
        seed = (self._settings.seed, self._n_tables)
        return rows[np.random.default_rng(seed).permutation(len(rows))]


def with_known(frame: pd.DataFrame, known: KnownCompounds) -> pd.DataFrame:
    """A table of specs that says which formulas are known; one that says so of more of them is believed."""
    specs = frame_to_specs(frame)
    found = known.look_up(specs.composition, specs.space_group)
    told = [
        frame.get(name, pd.Series(False, index=frame.index)).fillna(False).astype(bool)
        for name in KNOWN_COLUMNS
    ]
    return frame.assign(
        **{name: mine.numpy() | own for name, mine, own in zip(KNOWN_COLUMNS, found, told, strict=True)}
    )


def unusual(table: pd.DataFrame, fewest: int) -> NDArray[np.bool_]:
    """Which specs balance only with charges that fewer known compounds than ``fewest`` show with their anions, (n,)."""
    composition = frame_to_specs(table).composition
    numbers = (composition > 0).any(dim=0).nonzero().squeeze(1)
    elements = [SYMBOLS[number] for number in numbers.tolist()]
    return unusual_charges(composition[:, numbers], elements, fewest).numpy()


def rank_rows(frame: pd.DataFrame, by_reward: bool = False) -> NDArray[np.int64]:
    """Row positions from best to worst.

    By rising energy above hull, rows without one last; among those, and among equals, by falling log_reward. By reward
    alone, equals stay in their order.

    Args:
        frame: table with the columns ``e_above_hull`` and ``log_reward``, either of which may be NaN.
        by_reward: take the reward alone, as always for a reward of several objectives.
    """
    reward = frame[LOG_REWARD].to_numpy(dtype=np.float64)
    if by_reward or term_columns(frame):
        return np.argsort(-reward, kind="stable")
    above = frame[HULL_COLUMN].to_numpy(dtype=np.float64)
    # lexsort puts NaN last, as the last key counts first
    return np.lexsort((-reward, above))
