"""The engine that makes candidates of samples: chosen, placed, judged and replaced until k of them stand.

Specs of known formulas, duplicates and the worse half by the proxy get no atoms. Of the others batches are placed,
one try each and all tries of those near the hull; impossible contacts, atoms too far from the hull, predictions that a
sparse hull cannot support, and crystals that another candidate is already are left out, and the next specs take their
places. Each stage is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.run_summary import FunnelStage
from gflownet_crystal.data.schema import JUDGED_HULL
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.candidates.screening_batches import (
    CONTACTS,
    DEEP,
    DOUBLE,
    FAR,
    OUTRANKED,
    SPARSE,
    UNPLACED,
    Found,
    batch_size,
    is_double,
    judge_batch,
    placed_batch,
)
from gflownet_crystal.workflows.candidates.shortlist import Shortlist, rank_rows
from gflownet_crystal.workflows.placing.placing import ENERGY_STD, SCREENED
from gflownet_crystal.workflows.placing.shared import Places
from gflownet_crystal.workflows.sampling.objectives import fronts
from gflownet_crystal.workflows.settings.screening import KEEP, Screening


@dataclass
class Outcome:
    """Outcome of a screening of samples.

    Attributes:
        frame: all samples, with the columns that the shortlist adds.
        placed: candidates, the nearest to the hull first, and of those below it the most certain: columns of
            :class:`~gflownet_crystal.workflows.placing.placing.Placer` and ``reason``.
        left_out: the other specs that were tried, in that order; the same columns, ``status`` and ``reason``.
        structures: atoms of ``placed``.
        funnel: number of specs after each stage.
    """

    frame: pd.DataFrame
    placed: pd.DataFrame
    left_out: pd.DataFrame
    structures: StructureBatch | None
    funnel: list[FunnelStage]


def screen(
    tables: Iterator[pd.DataFrame],
    settings: Screening,
    placer: Places,
    known: KnownCompounds,
    folder: Path | None = None,
    tell: Callable[[str, int], None] = lambda words, n: None,
) -> Outcome:
    """Make candidates of samples.

    Args:
        tables: the samples, then further ones where a sampler is at hand; columns of a spec file and ``e_above_hull``.
        settings: selection of the candidates.
        placer: makes and rates atoms.
        known: compounds that count as known.
        folder: folder in which finished batches are kept for a resumed run; None keeps nothing.
        tell: told after each batch how it stands, and how many candidates the batch brought.

    Raises:
        DataError: a row is not a spec, or a batch that was kept is damaged or one of other samples.
    """
    search = Search(tables, settings, placer, known, folder, tell)
    search.run()
    return search.outcome()


class Search:
    """A screening that can go on behind its end, where candidates turn out to be none.

    Args:
        tables, settings, placer, known, folder, tell: arguments of :func:`screen`.

    Attributes:
        queue: candidates and those that come after them, the first k of the screening the best first; it only grows.
            Columns of :class:`~gflownet_crystal.workflows.placing.placing.Placer` and ``reason``.
    """

    def __init__(
        self,
        tables: Iterator[pd.DataFrame],
        settings: Screening,
        placer: Places,
        known: KnownCompounds,
        folder: Path | None = None,
        tell: Callable[[str, int], None] = lambda words, n: None,
    ) -> None:
        self.settings, self.placer, self.folder, self.tell = settings, placer, folder, tell
        self._shortlist, self._found, self._filled = Shortlist(tables, settings, known), Found(), 0
        self.queue = _whole([])

    def run(self) -> None:
        """Screen until as many pass as the settings want, or no more can be tried.

        Raises:
            DataError: see :func:`screen`.
        """
        found, settings = self._found, self.settings
        while found.n_passing < settings.target and found.n_tried < settings.budget:
            if not self._try(batch_size(found, settings)):
                break
        passing = _whole(found.passing).assign(reason="")
        self.queue = passing.iloc[_ranks(self._shortlist.frame.loc[passing["row"]], passing, settings)]
        self._fill_up(settings.k)

    def supply(self, n: int) -> None:
        """Lengthen the queue to n if it can be: by specs that pass next, then by the nearest others.

        Raises:
            DataError: see :func:`screen`.
        """
        found, settings = self._found, self.settings
        while len(self.queue) < n and found.n_tried < settings.budget and not self._filled:
            before = len(found.passing)
            # of one size, whatever is needed: a pipeline that goes on finds its batches again
            if not self._try(min(settings.batch_size, settings.budget - found.n_tried)):
                break
            self._append(_whole(found.passing[before:]).assign(reason=""))
        self._fill_up(n)

    def outcome(self, doubles: Collection[int] = ()) -> Outcome:
        """Outcome of the screening.

        Args:
            doubles: rows of samples in the queue that are no candidates, as their crystals are those of others in the
                end; the next in the queue take their places.
        """
        settings, left_out = self.settings, _whole(self._found.left_out)
        gone = self.queue["row"].isin(list(doubles)).to_numpy(dtype=bool)
        waiting = self.queue[~gone]
        outranked = waiting.iloc[settings.k :].assign(
            status=OUTRANKED, reason="others are nearer to the hull with their atoms"
        )
        again = self.queue[gone].assign(status=DOUBLE, reason="relaxed, the same crystal as another one")
        placed = waiting.iloc[: settings.k].reset_index(drop=True)
        far = left_out["row"].isin(self.queue["row"]).to_numpy(dtype=bool)
        filled = left_out["row"][far]
        n_doubles = int((~again["row"].isin(filled)).sum())
        n_passing = int((~placed["row"].isin(filled)).sum())
        funnel = _funnel(self._shortlist, self._found, settings, left_out, n_doubles, n_passing)
        if len(filled):
            funnel.append({"stage": "filled up with the next nearest", "n": len(placed)})
        others = [part for part in (outranked, again, left_out[~far]) if len(part)]
        left_out = pd.concat(others or [left_out], ignore_index=True)
        structures = frame_to_structures(placed) if len(placed) else None
        return Outcome(self._shortlist.frame, placed, left_out, structures, funnel)

    def _try(self, n: int) -> bool:
        """Try the next n specs; whether there were any."""
        shortlist, found, settings = self._shortlist, self._found, self.settings
        rows = shortlist.following(n)
        if not rows:
            return False
        before = min(found.n_passing, settings.target)
        made = placed_batch(self.folder, found.n_tried, shortlist.frame.loc[rows], self.placer)
        judge_batch(made, rows, shortlist, found, settings)
        found.n_tried += len(rows)
        gained = min(found.n_passing, settings.target) - before
        self.tell(f"{found.n_passing} of {found.n_tried} specs pass", gained)
        return True

    def _fill_up(self, n: int) -> None:
        """Put the nearest of those that are too far behind the queue where it is shorter than n, if they are wanted."""
        lacking = n - len(self.queue)
        if self.settings.fill and lacking > 0:
            left_out = _whole(self._found.left_out)
            left_out = left_out[~left_out["row"].isin(self.queue["row"])].reset_index(drop=True)
            filled = _fill(self._shortlist, left_out, self._found, lacking).drop(columns="status")
            self._filled += len(filled)
            self._append(filled)

    def _append(self, rows: pd.DataFrame) -> None:
        self.queue = pd.concat([part for part in (self.queue, rows) if len(part)] or [self.queue])
        self.queue = self.queue.reset_index(drop=True)


def _ranks(samples: pd.DataFrame, passing: pd.DataFrame, settings: Screening) -> NDArray[np.int64]:
    """Places of specs from the best to the worst: by their atoms where they are judged, else as samples.

    Nothing is gained below the hull, where errors of models and hulls are found first: there the certain ones lead. Of
    several objectives those come first that no other dominates.
    """
    above = passing[JUDGED_HULL].to_numpy(dtype=np.float64)
    front = fronts(samples.assign(**{JUDGED_HULL: above}))
    if np.isnan(above).all() or (settings.by_reward and front is None):
        return rank_rows(samples, settings.by_reward)
    keys = [passing[ENERGY_STD].to_numpy(dtype=np.float64), np.maximum(above, 0.0)]
    return np.lexsort(keys if front is None else [*keys, front])


def _whole(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = [*SCREENED, "status", "reason"]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return whole.reindex(columns=columns).astype({"row": np.int64})


def _fill(shortlist: Shortlist, left_out: pd.DataFrame, found: Found, n: int) -> pd.DataFrame:
    """The n nearest to the hull of those that are too far from it: distinct, and as the quota admits them."""
    far = left_out[left_out["status"] == FAR].sort_values(JUDGED_HULL, kind="stable", na_position="last")
    chosen: list[int] = []
    for place, row in enumerate(far["row"].tolist()):
        if len(chosen) == n:
            break
        if shortlist.quota.admits(row) and not is_double(far.iloc[[place]], shortlist, found)[0]:
            shortlist.quota.take(row)
            chosen.append(place)
    return far.iloc[chosen]


def _funnel(
    shortlist: Shortlist, found: Found, settings: Screening, left_out: pd.DataFrame, n_doubles: int, n: int
) -> list[FunnelStage]:
    """Number of specs left after each stage."""
    counts, status = shortlist.counts, left_out["status"].value_counts()
    stages = [("sampled", counts["sampled"])]
    if settings.known != KEEP:
        stages.append((f"{settings.known.replace('_', ' ')} not known", counts["new"]))
    if settings.charges:
        stages.append(("charges known with their anions", counts["charges"]))
    if counts["limits"] < counts["charges"]:
        stages.append(("within the limits of the reward", counts["limits"]))
    stages.append(("distinct", counts["distinct"]))
    if settings.better < 1:
        stages.append((f"better {100 * settings.better:g} % by the proxy", counts["better"]))
    left = found.n_tried
    stages.append(("tried", left))
    within = "" if settings.within is None else f"within {settings.within:g} eV/atom of the hull"
    deep = "" if settings.deepest is None else f"at most {-settings.deepest:g} eV/atom below it"
    for name, words in (
        (UNPLACED, "with atoms"), (CONTACTS, "without impossible contacts"), (FAR, within),
        (DEEP, deep), (SPARSE, "not far below a sparse hull"), (DOUBLE, "distinct with atoms"),
    ):  # fmt: skip
        left -= int(status.get(name, 0))
        if words:
            stages.append((words, left))
    if n_doubles:
        stages.append(("distinct after relaxation", left - n_doubles))
    stages.append(("candidates", n))
    return [{"stage": stage, "n": int(n)} for stage, n in stages]
