"""Batches of a screening: how many specs to try, their atoms, and the reasons that leave a spec out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.schema import JUDGED_HULL
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import to_crystals
from gflownet_crystal.evaluation.uniqueness import Repeats
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES
from gflownet_crystal.proxies.hull import FAR_BELOW
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.workflows.candidates.shortlist import Shortlist
from gflownet_crystal.workflows.placing.placing import (
    CONTACT,
    CONTACT_RATIO,
    SCREENED,
    part_file,
    read_part,
    write_part,
)
from gflownet_crystal.workflows.placing.shared import Places
from gflownet_crystal.workflows.settings.screening import Screening

OUTRANKED, FAR, CONTACTS, DEEP, SPARSE, DOUBLE, UNPLACED = (
    "outranked", "far", "contact", "deep", "sparse_hull", "double", "unplaced",
)  # fmt: skip
"""Status of a spec that was tried and is no candidate: why."""

SAME = Tolerances(stol=0.3, ltol=0.2, angle_tol=5.0)  # pymatgen's own


@dataclass
class Found:
    """Specs that were tried.

    Attributes:
        passing: those of each batch that pass everything.
        left_out: the others, with ``status`` and ``reason``.
        n_tried: number of all.
        repeats: crystals that passed, to tell those that are the same.
    """

    passing: list[pd.DataFrame] = field(default_factory=list)
    left_out: list[pd.DataFrame] = field(default_factory=list)
    n_tried: int = 0
    repeats: Repeats = field(default_factory=lambda: Repeats(SAME))

    @property
    def n_passing(self) -> int:
        """Number of specs that pass everything."""
        return sum(map(len, self.passing))

    def leave_out(self, rows: pd.DataFrame, status: str, reasons: str | Sequence[str]) -> None:
        """Add specs that are no candidates, with a status and a reason each."""
        if len(rows):
            self.left_out.append(rows.assign(status=status, reason=reasons))


def batch_size(found: Found, settings: Screening) -> int:
    """Specs to try next: as many as are expected to be needed, by the share that has passed so far."""
    share = (found.n_passing + 1) / (found.n_tried + 1)
    needed = ceil((settings.target - found.n_passing) / share)
    return min(settings.batch_size, settings.budget - found.n_tried, needed)


def placed_batch(folder: Path | None, start: int, frame: pd.DataFrame, placer: Places) -> pd.DataFrame:
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


def judge_batch(
    made: pd.DataFrame, rows: list[int], shortlist: Shortlist, found: Found, settings: Screening
) -> None:
    """Sort the specs of a batch by their outcome."""
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
    made = _without(made, is_double(made, shortlist, found), DOUBLE, found, _double_words)
    for row in made["row"].tolist():
        shortlist.quota.take(row)
    if len(made):
        found.passing.append(made)


def _without(
    made: pd.DataFrame,
    gone: ArrayLike,
    status: str,
    found: Found,
    words: Callable[[pd.DataFrame], Sequence[str]],
) -> pd.DataFrame:
    """The rows that are not gone; the others are left out with a reason."""
    gone = np.asarray(gone, dtype=bool)
    found.leave_out(made[gone], status, words(made[gone]))
    return made[~gone].reset_index(drop=True)


def _contact_words(rows: pd.DataFrame) -> list[str]:
    return [
        f"{contact} Å apart; known crystals keep {float(contact.split()[1]) / ratio:.2f}"
        for contact, ratio in zip(rows[CONTACT], rows[CONTACT_RATIO], strict=True)
    ]


def _far_words(rows: pd.DataFrame) -> list[str]:
    unknown = "no energy: isolated atoms, or an unknown element"
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


def is_double(made: pd.DataFrame, shortlist: Shortlist, found: Found) -> NDArray[np.bool_]:
    """Which of some specs are one crystal with an earlier one that was no double itself."""
    if made.empty:
        return np.zeros(0, dtype=bool)
    formulas = [shortlist.kinds.formula[row] for row in made["row"]]
    return found.repeats.add(to_crystals(frame_to_structures(made)), formulas)
