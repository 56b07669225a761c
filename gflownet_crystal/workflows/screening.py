"""The engine that makes candidates of samples: chosen, placed, judged and replaced until k of them stand.

Specs of known formulas, duplicates and the worse half by the proxy get no atoms. Of the others batches are placed,
one try each and all tries of those near the hull; impossible contacts, atoms too far from the hull, predictions that a
sparse hull cannot support, and crystals that another candidate is already are left out, and the next specs take their
places. Each stage is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.schema import JUDGED_HULL
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import Work, to_crystals
from gflownet_crystal.evaluation.uniqueness import FAILED, first_alike
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES
from gflownet_crystal.proxies.hull import FAR_BELOW
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.placing import (
    CONTACT,
    CONTACT_RATIO,
    ENERGY_STD,
    SCREENED,
    Placer,
    part_file,
    read_part,
    write_part,
)
from gflownet_crystal.workflows.settings import KEEP, Screening
from gflownet_crystal.workflows.shortlist import Shortlist, rank_rows

OUTRANKED, FAR, CONTACTS, DEEP, SPARSE, DOUBLE, UNPLACED = (
    "outranked", "far", "contact", "deep", "sparse_hull", "double", "unplaced",
)  # fmt: skip
"""Status of a spec that was tried and is no candidate: why."""

SAME = Tolerances(stol=0.3, ltol=0.2, angle_tol=5.0)  # pymatgen's own


@dataclass
class Outcome:
    """Outcome of a screening of samples.

    Attributes:
        frame: all samples, with the columns that the shortlist adds.
        placed: candidates, the nearest to the hull first, and of those below it the most certain: columns of
            :class:`~gflownet_crystal.workflows.placing.Placer` and ``reason``.
        left_out: the other specs that were tried, in that order; the same columns, ``status`` and ``reason``.
        structures: atoms of ``placed``.
        funnel: number of specs after each stage.
    """

    frame: pd.DataFrame
    placed: pd.DataFrame
    left_out: pd.DataFrame
    structures: StructureBatch | None
    funnel: list[dict[str, Any]]


@dataclass
class _Found:
    """Specs that were tried, by what became of them."""

    passing: list[pd.DataFrame] = field(default_factory=list)
    left_out: list[pd.DataFrame] = field(default_factory=list)
    n_tried: int = 0

    @property
    def n_passing(self) -> int:
        return sum(map(len, self.passing))

    def leave_out(self, rows: pd.DataFrame, status: str, reasons: Any) -> None:
        if len(rows):
            self.left_out.append(rows.assign(status=status, reason=reasons))


def screen(
    tables: Iterator[pd.DataFrame],
    settings: Screening,
    placer: Placer,
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
            Columns of :class:`~gflownet_crystal.workflows.placing.Placer` and ``reason``.
    """

    def __init__(
        self,
        tables: Iterator[pd.DataFrame],
        settings: Screening,
        placer: Placer,
        known: KnownCompounds,
        folder: Path | None = None,
        tell: Callable[[str, int], None] = lambda words, n: None,
    ) -> None:
        self.settings, self.placer, self.folder, self.tell = settings, placer, folder, tell
        self._shortlist, self._found, self._filled = Shortlist(tables, settings, known), _Found(), 0
        self.queue = _whole([])

    def run(self) -> None:
        """Screen until as many pass as the settings want, or no more can be tried.

        Raises:
            DataError: see :func:`screen`.
        """
        found, settings = self._found, self.settings
        while found.n_passing < settings.target and found.n_tried < settings.budget:
            if not self._try(_batch_size(found, settings)):
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
        made = _placed(self.folder, found.n_tried, shortlist.frame.loc[rows], self.placer)
        _judge(made, rows, shortlist, found, settings)
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
            filled = _fill(self._shortlist, left_out, self.queue, lacking).drop(columns="status")
            self._filled += len(filled)
            self._append(filled)

    def _append(self, rows: pd.DataFrame) -> None:
        self.queue = pd.concat([part for part in (self.queue, rows) if len(part)] or [self.queue])
        self.queue = self.queue.reset_index(drop=True)


def _batch_size(found: _Found, settings: Screening) -> int:
    """Specs to try next: as many as are expected to be needed, by the share that has passed so far."""
    share = (found.n_passing + 1) / (found.n_tried + 1)
    needed = ceil((settings.target - found.n_passing) / share)
    return min(settings.batch_size, settings.budget - found.n_tried, needed)


def _placed(folder: Path | None, start: int, frame: pd.DataFrame, placer: Placer) -> pd.DataFrame:
    """The structures of a batch: read where it was kept, else made."""
    if folder is None:
        return placer.place(frame)
    path = part_file(folder, start)
    if not path.is_file():
        write_part(path, placer.place(frame))
    made = read_part(path, SCREENED)
    if not set(made["row"]) <= set(frame.index):
        raise DataError(f"{path} holds structures of other samples: give another out=...")
    return made


def _judge(
    made: pd.DataFrame, rows: list[int], shortlist: Shortlist, found: _Found, settings: Screening
) -> None:
    """Sort the specs of a batch by what became of them."""
    place = {row: number for number, row in enumerate(rows)}
    made = made.sort_values("row", key=lambda column: column.map(place), ignore_index=True)
    with_atoms = set(made["row"])
    lacking = [row for row in rows if row not in with_atoms]
    found.leave_out(pd.DataFrame({"row": lacking}), UNPLACED, "")
    made = _without(made, made[CONTACT_RATIO] < 1.0, CONTACTS, found, _contact_words)
    above, within = made[JUDGED_HULL], settings.within
    if within is not None:
        made = _without(made, ~(above <= within), FAR, found, _far_words)
    if settings.deepest is not None:
        made = _without(made, made[JUDGED_HULL] < settings.deepest, DEEP, found, _deep_words)
    entries = shortlist.frame.get("hull_entries", pd.Series(np.inf, index=shortlist.frame.index))
    few = (entries.loc[made["row"]] < FEWEST_ENTRIES).to_numpy()
    made = _without(made, few & (made[JUDGED_HULL] < FAR_BELOW), SPARSE, found, _sparse_words)
    made = _without(made, _is_double(made, found.passing, shortlist), DOUBLE, found, _double_words)
    for row in made["row"].tolist():
        shortlist.quota.take(row)
    if len(made):
        found.passing.append(made)


def _without(
    made: pd.DataFrame, gone: Any, status: str, found: _Found, words: Callable[[pd.DataFrame], Any]
) -> pd.DataFrame:
    """The rows that are not gone; the others are left out with a reason."""
    gone = np.asarray(gone, dtype=bool)
    found.leave_out(made[gone], status, words(made[gone]))
    return made[~gone].reset_index(drop=True)


def _contact_words(rows: pd.DataFrame) -> list[str]:
    return [
        f"{contact} A apart; known crystals keep {float(contact.split()[1]) / ratio:.2f}"
        for contact, ratio in zip(rows[CONTACT], rows[CONTACT_RATIO], strict=True)
    ]


def _far_words(rows: pd.DataFrame) -> list[str]:
    unknown = "no energy: lonely atoms, or an unknown element"
    return [
        unknown if np.isnan(above) else f"{above:.3f} eV/atom above the hull with atoms"
        for above in rows[JUDGED_HULL]
    ]


def _deep_words(rows: pd.DataFrame) -> list[str]:
    return [
        f"{-above:.3f} eV/atom below the hull with atoms: an error of the energy"
        for above in rows[JUDGED_HULL]
    ]


def _sparse_words(rows: pd.DataFrame) -> list[str]:
    return [
        f"{-above:.3f} eV/atom below a hull of fewer than {FEWEST_ENTRIES} known crystals"
        for above in rows[JUDGED_HULL]
    ]


def _double_words(rows: pd.DataFrame) -> str:
    return "the same crystal as another one"


def _is_double(made: pd.DataFrame, passing: list[pd.DataFrame], shortlist: Shortlist) -> NDArray[np.bool_]:
    """Which of a batch are one crystal with one that passes already, or with an earlier one of the batch."""
    formulas = shortlist.kinds.formula
    earlier = pd.concat([*passing, made], ignore_index=True)
    own = {formulas[row] for row in made["row"]}
    # one of a formula is alone, and needs no comparison
    earlier = earlier[[formulas[row] in own for row in earlier["row"]]].reset_index(drop=True)
    if len(earlier) == len(own):
        return np.zeros(len(made), dtype=bool)
    names = [str(formulas[row]) for row in earlier["row"]]
    alike = first_alike(to_crystals(frame_to_structures(earlier)), names, SAME, Work()).numpy()
    double: NDArray[np.bool_] = (alike != FAILED) & (alike != np.arange(len(earlier)))
    return double[len(earlier) - len(made) :]


def _ranks(samples: pd.DataFrame, passing: pd.DataFrame, settings: Screening) -> NDArray[np.int64]:
    """Places of specs from the best to the worst: by their atoms where they are judged, else as samples.

    Nothing is gained below the hull, where errors of models and hulls are found first: there the certain ones lead.
    """
    above = passing[JUDGED_HULL].to_numpy(dtype=np.float64)
    if settings.by_reward or np.isnan(above).all():
        return rank_rows(samples, settings.by_reward)
    return np.lexsort((passing[ENERGY_STD].to_numpy(dtype=np.float64), np.maximum(above, 0.0)))


def _whole(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = [*SCREENED, "status", "reason"]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return whole.reindex(columns=columns).astype({"row": np.int64})


def _fill(shortlist: Shortlist, left_out: pd.DataFrame, passing: pd.DataFrame, n: int) -> pd.DataFrame:
    """The n nearest to the hull of those that are too far from it: distinct, and as the quota admits them."""
    far = left_out[left_out["status"] == FAR].sort_values(JUDGED_HULL, kind="stable", na_position="last")
    chosen: list[int] = []
    for place, row in enumerate(far["row"].tolist()):
        one, others = far.iloc[[place]], [passing, far.iloc[chosen]]
        if len(chosen) < n and shortlist.quota.admits(row) and not _is_double(one, others, shortlist)[0]:
            shortlist.quota.take(row)
            chosen.append(place)
    return far.iloc[chosen]


def _funnel(
    shortlist: Shortlist, found: _Found, settings: Screening, left_out: pd.DataFrame, n_doubles: int, n: int
) -> list[dict[str, Any]]:
    """Number of specs left after each stage."""
    counts, status = shortlist.counts, left_out["status"].value_counts()
    stages = [("sampled", counts["sampled"])]
    if settings.known != KEEP:
        stages.append((f"{settings.known.replace('_', ' ')} not known", counts["new"]))
    stages.append(("distinct", counts["distinct"]))
    if settings.better < 1:
        stages.append((f"better {100 * settings.better:g} % by the proxy", counts["better"]))
    left = found.n_tried
    stages.append(("tried", left))
    within = "" if settings.within is None else f"within {settings.within:g} eV/atom of the hull"
    deep = "" if settings.deepest is None else f"at most {-settings.deepest:g} eV/atom below it"
    for name, words in (
        (UNPLACED, "with atoms"), (CONTACTS, "with possible contacts"), (FAR, within),
        (DEEP, deep), (SPARSE, "not far below a sparse hull"), (DOUBLE, "distinct with atoms"),
    ):  # fmt: skip
        left -= int(status.get(name, 0))
        if words:
            stages.append((words, left))
    if n_doubles:
        stages.append(("distinct after relaxation", left - n_doubles))
    stages.append(("candidates", n))
    return [{"stage": stage, "n": int(n)} for stage, n in stages]
