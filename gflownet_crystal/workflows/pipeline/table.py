"""Output of ``pipeline``: the table of candidates with the result of every stage, and its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.objective_columns import objective_columns
from gflownet_crystal.common.run_schema import ENERGY, ENERGY_AFTER, ENERGY_BEFORE, SPACE_GROUP
from gflownet_crystal.data.schema import HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.evaluation.compared_sets import reduced_formulas
from gflownet_crystal.evaluation.parallel import Work, to_crystals
from gflownet_crystal.evaluation.uniqueness import FAILED, first_match, unique
from gflownet_crystal.proxies.hull import NEAR_HULL, Hull
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.relaxation.records import Record, in_setting, structure_of
from gflownet_crystal.report.run_files import OUTCOMES, PLACED
from gflownet_crystal.structures.distances import shortest_distance
from gflownet_crystal.structures.spec_io import SPEC_COLUMNS
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups
from gflownet_crystal.workflows.candidates.files import NEWNESS, Candidates, cif_names, relatives, tried_rows
from gflownet_crystal.workflows.candidates.screening import Outcome
from gflownet_crystal.workflows.candidates.screening_batches import SAME, UNPLACED
from gflownet_crystal.workflows.placing.placing import CONTACT, CONTACT_RATIO, above_hull
from gflownet_crystal.workflows.sampling.objectives import fronts, with_fronts

CHANGES = ("volume_change", "length_change", "angle_change", "rms_displacement", "max_displacement")
RELAXERS = ("relaxer_before", "relaxer_after")
"""Energies by the model that relaxed, eV/atom, whoever judges."""

COLUMNS = (
    "rank", *SPEC_COLUMNS, HULL_COLUMN, "status", "reason", ENERGY_BEFORE, "energy_before_std", ENERGY_AFTER,
    JUDGED_HULL, CONTACT, CONTACT_RATIO, *NEWNESS, "same_as", *RELAXERS, "space_group_found", "shortest_distance",
    *CHANGES, "relax_steps", "sample", "try", "cif",
)  # fmt: skip
"""Columns of ``candidates.csv``: Å, degrees, eV/atom; changes of volumes and lengths are relative."""


@dataclass(frozen=True)
class Ended:
    """Structures as they are in the end.

    Attributes:
        structures: relaxed where that succeeded, else as generated; in the setting of a group.
        moved: (n,) bool, which were relaxed.
    """

    structures: StructureBatch
    moved: NDArray[np.bool_]


def ended(made: StructureBatch, records: Mapping[int, Record], symprec: float) -> Ended:
    """The generated structures with the relaxed ones in their places.

    Args:
        made: generated.
        records: records of relaxations, by place in ``made``.
        symprec: Å, tolerance of the search for the group of a relaxed one.
    """
    moved = np.array([row in records and records[row].is_relaxed for row in range(len(made))], dtype=bool)
    if not moved.any():
        return Ended(made, moved)
    final = [
        in_setting(structure_of(records[row]), symprec) if moved[row] else made[row : row + 1]
        for row in range(len(made))
    ]
    return Ended(StructureBatch.cat(final), moved)


def candidates_table(
    outcome: Outcome,
    known: KnownCompounds,
    final: Ended,
    records: Mapping[int, Record],
    energies: pd.DataFrame,
    symprec: float,
) -> Candidates:
    """The candidates, ranked by the best that is known of them, and the other specs that were tried.

    Args:
        outcome: outcome of the screening.
        known: compounds that count as known.
        final: its structures in the end.
        records: records of relaxations, by place among them.
        energies: energies returned by :func:`judged`.
        symprec: Å, tolerance of the search for groups.
    """
    table = tried_rows(outcome.frame, outcome.placed)
    mine = [records.get(row) for row in range(len(table))]
    table = table.assign(
        **{name: energies[name] for name in (ENERGY_BEFORE, ENERGY_AFTER, JUDGED_HULL)},
        status=[OUTCOMES[record.status] if record else PLACED for record in mine],
        reason=[
            (record.reason if record else "") or other or why
            for record, other, why in zip(mine, energies["reason"], outcome.placed["reason"], strict=True)
        ],
        relative=relatives(table, known),
        space_group_found=find_space_groups(final.structures, symprec).numpy(),
        shortest_distance=shortest_distance(final.structures).numpy(),
        relax_steps=pd.array([record.steps if record else None for record in mine], dtype="Int64"),
        **{name: _values(mine, name) for name in CHANGES},
        **{name: _values(mine, name.replace("relaxer", "energy")) for name in RELAXERS},
    )
    order = best_first(table[JUDGED_HULL], fronts(table))
    table, structures = table.iloc[order].reset_index(drop=True), final.structures[torch.from_numpy(order)]
    table = table.assign(
        rank=np.arange(1, len(table) + 1),
        same_as=same_as(structures),
        cif=[f"cif/{name}" for name in cif_names(structures)],
    )
    table = with_fronts(table)
    columns = [*COLUMNS, *objective_columns(table)]
    left_out = tried_rows(outcome.frame, outcome.left_out).reindex(columns=columns)
    counts = dict.fromkeys(("rank", "same_as", "space_group_found", "relax_steps", "try"), "Int64")
    return Candidates(table.reindex(columns=columns).astype(counts), structures, left_out.astype(counts))


def _values(records: Sequence[Record | None], name: str) -> list[float]:
    """A value of relaxations; NaN where there is none."""
    found = (getattr(record, name, None) for record in records)
    return [np.nan if value is None else value for value in found]


def best_first(above_hull: pd.Series, front: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Places (n,) of energies above the hull, lowest first; equal and unknown ones (last) keep their order.

    Args:
        above_hull: eV/atom, (n,).
        front: front of each by several objectives, (n,), which counts first; None for one objective.
    """
    above = above_hull.to_numpy(dtype=np.float64)
    return np.argsort(above, kind="stable") if front is None else np.lexsort((above, front))


def same_as(structures: StructureBatch) -> pd.Series:
    """The rank of the best candidate that is the same crystal as each, by pymatgen's matcher; empty for itself.

    Different specs often relax into one crystal, which a list of candidates should not count twice.
    """
    matched = first_match(to_crystals(structures), reduced_formulas(structures), SAME, Work())
    rank = pd.Series(matched.numpy() + 1, dtype="Int64")
    return rank.where(((matched != FAILED) & ~unique(matched)).numpy())


def repeated(final: Ended, places: NDArray[np.int64]) -> list[int]:
    """Which of some structures are the same crystal as another of them, of which a relaxed one stays, else the first.

    Args:
        final: structures in the end.
        places: (n,) of those that are compared.
    """
    order = places[np.argsort(~final.moved[places], kind="stable")]
    structures = final.structures[torch.from_numpy(order)]
    return order[same_as(structures).notna().to_numpy()].tolist()


def judged(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    structures: StructureBatch,
    hull: Hull,
    judge: str | None,
) -> pd.DataFrame:
    """Energies of candidates, how far above the hull they lie, and why one has no energy.

    Args:
        before: (n,) energies as generated, eV/atom, NaN where unknown.
        after: (n,) after relaxation.
        structures: in the end.
        hull: measured from.
        judge: who gave the energies; None for nobody, and then no energy is missed.
    """
    known = np.where(np.isnan(after), before, after)
    above = above_hull(structures, torch.from_numpy(known), hull)
    lacking = (
        ""
        if judge is None
        else f"{judge} could not evaluate it: overlapping or isolated atoms, or an unsupported element"
    )
    return pd.DataFrame(
        {
            ENERGY_BEFORE: before,
            ENERGY_AFTER: after,
            JUDGED_HULL: above,
            "reason": np.where(np.isnan(known), lacking, ""),
        }
    )


def whole_table(candidates: Candidates) -> Candidates:
    """The same with the specs that were left out in the table of candidates too, last and unranked."""
    parts = [part for part in (candidates.frame, candidates.left_out) if len(part)]
    return replace(candidates, frame=pd.concat(parts, ignore_index=True))


def summarise(candidates: Candidates, k: int, seconds: Mapping[str, float]) -> dict[str, object]:
    """Figures of candidates, as JSON has them.

    Args:
        candidates: all.
        k: candidates that were asked for.
        seconds: that the stages took.
    """
    placed, frame = candidates.frame, whole_table(candidates).frame
    n_placed = int((frame["status"] != UNPLACED).sum())
    moved = frame[frame[ENERGY_AFTER].notna()]
    found = placed["space_group_found"] == placed[SPACE_GROUP]
    rate = n_placed / seconds["generating"] if seconds.get("generating") else None
    return {
        "candidates": len(placed),
        # the samples ran out
        "lacking": k - len(placed),
        "status": {str(name): int(count) for name, count in frame["status"].value_counts().items()},
        "distinct": int(placed["same_as"].isna().sum()),
        "near_hull": int((placed[JUDGED_HULL].fillna(placed[HULL_COLUMN]) <= NEAR_HULL).sum()),
        "share_of_exact_group": _number(found.mean()),
        "least_distance": _number(placed["shortest_distance"].min()),
        "median_energy_predicted": _median(placed[ENERGY]),
        "median_energy_before": _median(placed[ENERGY_BEFORE]),
        "relaxed": {
            "n": len(moved),
            **{
                f"median_{name}": _median(moved[name])
                for name in (ENERGY_BEFORE, ENERGY_AFTER, *RELAXERS, *CHANGES)
            },
        },
        "seconds": dict(seconds),
        "structures_per_second": _number(rate),
    }


def _median(values: pd.Series) -> float | None:
    known = values.dropna()
    return _number(known.median()) if len(known) else None


def _number(value: float | None) -> float | None:
    """A number as JSON has it, to six digits; None where there is none."""
    return None if value is None or pd.isna(value) else float(f"{float(value):.6g}")
