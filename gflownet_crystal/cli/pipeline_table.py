"""What ``pipeline`` hands over: the table of candidates with all that became of them, and its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.cli.candidates import Candidates, cif_names
from gflownet_crystal.evaluation.compared_sets import reduced_formulas
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import Work, to_crystals
from gflownet_crystal.evaluation.ranking import HULL_COLUMN
from gflownet_crystal.evaluation.uniqueness import FAILED, first_alike, unique
from gflownet_crystal.proxies.hull import NEAR_HULL, Hull
from gflownet_crystal.relaxation.records import in_setting, structure_of
from gflownet_crystal.report.run_files import JUDGED_HULL, PLACED, STATUS
from gflownet_crystal.structures.distances import shortest_distance
from gflownet_crystal.structures.spec_io import SPEC_COLUMNS
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups

CHANGES = ("volume_change", "length_change", "angle_change", "rms_displacement", "max_displacement")
RELAXERS = ("relaxer_before", "relaxer_after")
"""Energies by the model that relaxed, eV/atom, whoever judges."""

COLUMNS = (
    "rank", *SPEC_COLUMNS, HULL_COLUMN, "status", "reason", "energy_before", "energy_after", JUDGED_HULL,
    "same_as", *RELAXERS, "space_group_found", "shortest_distance", *CHANGES, "relax_steps", "sample", "try", "cif",
)  # fmt: skip
"""Columns of ``candidates.csv``: A, degrees, eV/atom; volumes and lengths change by a part of what they were."""

UNPLACED, OUTRANKED = "unplaced", "outranked"
"""What becomes of specs that are no candidates: no atoms, or others whose atoms are nearer to the hull."""

_SAME = Tolerances(stol=0.3, ltol=0.2, angle_tol=5.0)  # pymatgen's own


@dataclass(frozen=True)
class Ended:
    """Structures as they are in the end.

    Attributes:
        structures: relaxed where that succeeded, else as generated; in the setting of a group.
        moved: (n,) bool, which were relaxed.
    """

    structures: StructureBatch
    moved: NDArray[np.bool_]


def ended(made: StructureBatch, records: Mapping[int, Mapping[str, Any]], symprec: float) -> Ended:
    """The generated structures with the relaxed ones in their places.

    Args:
        made: generated.
        records: of relaxations, by place in ``made``.
        symprec: A, tolerance of the search for the group of a relaxed one.
    """
    moved = np.array([("cell" in records.get(row, {})) for row in range(len(made))], dtype=bool)
    if not moved.any():
        return Ended(made, moved)
    final = [
        in_setting(structure_of(records[row]), symprec) if moved[row] else made[row : row + 1]
        for row in range(len(made))
    ]
    return Ended(StructureBatch.cat(final), moved)


def candidates_table(
    frame: pd.DataFrame,
    placed: pd.DataFrame,
    left_out: Sequence[pd.DataFrame],
    final: Ended,
    records: Mapping[int, Mapping[str, Any]],
    energies: pd.DataFrame,
    symprec: float,
) -> Candidates:
    """All specs that were tried, ranked by the best that is known of them; those left out come last, unranked.

    Args:
        frame: samples with ``e_above_hull``.
        placed: what the generator made of the candidates, best-ranked spec first.
        left_out: the other specs that were tried, of :func:`outranked_rows` and :func:`unplaced_rows`.
        final: the structures of ``placed`` in the end.
        records: of relaxations, by place in ``placed``.
        energies: of :func:`judged`.
        symprec: A, tolerance of the search for groups.
    """
    table = frame.iloc[placed["row"].to_numpy()].reset_index(drop=True)
    mine = [records.get(row, {}) for row in range(len(placed))]
    table = table.assign(
        **{name: energies[name] for name in ("energy_before", "energy_after", JUDGED_HULL)},
        status=[STATUS[record["status"]] if record else PLACED for record in mine],
        reason=[
            record.get("reason") or other for record, other in zip(mine, energies["reason"], strict=True)
        ],
        space_group_found=find_space_groups(final.structures, symprec).numpy(),
        shortest_distance=shortest_distance(final.structures).numpy(),
        relax_steps=pd.array([record.get("steps") for record in mine], dtype="Int64"),
        sample=placed["row"].to_numpy(),
        **{"try": placed["try"].to_numpy()},
        **{name: [record.get(name, np.nan) for record in mine] for name in CHANGES},
        **{
            name: [record.get(name.replace("relaxer", "energy"), np.nan) for record in mine]
            for name in RELAXERS
        },
    )
    order = best_first(table[JUDGED_HULL])
    table, structures = table.iloc[order].reset_index(drop=True), final.structures[torch.from_numpy(order)]
    table = table.assign(
        rank=np.arange(1, len(table) + 1),
        same_as=same_as(structures),
        cif=[f"cif/{name}" for name in cif_names(structures)],
    )
    whole = pd.concat([part for part in (table, *left_out) if len(part)], ignore_index=True)
    whole = whole.reindex(columns=list(COLUMNS))
    counts = dict.fromkeys(("rank", "same_as", "space_group_found", "relax_steps", "try"), "Int64")
    return Candidates(whole.astype(counts), structures, int((whole["status"] == UNPLACED).sum()))


def best_first(above_hull: pd.Series) -> NDArray[np.int64]:
    """Places (n,) of energies above the hull, lowest first; equal and unknown ones (last) keep their order."""
    return np.argsort(above_hull.to_numpy(dtype=np.float64), kind="stable")


def outranked_rows(frame: pd.DataFrame, outranked: pd.DataFrame) -> pd.DataFrame:
    """Rows of specs whose atoms are farther from the hull than those of all candidates.

    Args:
        frame: samples.
        outranked: what the generator made of them, with energies above the hull.
    """
    return frame.iloc[outranked["row"].to_numpy()].assign(
        status=OUTRANKED,
        reason="others are nearer to the hull with their atoms",
        energy_before=outranked["formation_energy_per_atom"].to_numpy(),
        sample=outranked["row"].to_numpy(),
        **{name: outranked[name].to_numpy() for name in (JUDGED_HULL, "try")},
    )


def unplaced_rows(frame: pd.DataFrame, rows: Sequence[int], reasons: Sequence[str]) -> pd.DataFrame:
    """Rows of specs that got no atoms.

    Args:
        frame: samples.
        rows: of it.
        reasons: of each.
    """
    return frame.iloc[list(rows)].assign(status=UNPLACED, reason=reasons, sample=list(rows))


def same_as(structures: StructureBatch) -> pd.Series:
    """The rank of the best candidate that is the same crystal as each, by pymatgen's matcher; empty for itself.

    Different specs often relax into one crystal, which a list of candidates should not count twice.
    """
    alike = first_alike(to_crystals(structures), reduced_formulas(structures), _SAME, Work())
    rank = pd.Series(alike.numpy() + 1, dtype="Int64")
    return rank.where(((alike != FAILED) & ~unique(alike)).numpy())


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
    above = np.full(len(before), np.nan)
    rows = np.flatnonzero(~np.isnan(known))
    if len(rows):
        chosen = structures[torch.from_numpy(rows)]
        above[rows] = hull.e_above_hull(chosen.specs(), torch.from_numpy(known[rows])).numpy()
    lacking = (
        ""
        if judge is None
        else f"{judge} gives it no energy: overlapping or lonely atoms, or an unknown element"
    )
    return pd.DataFrame(
        {
            "energy_before": before,
            "energy_after": after,
            JUDGED_HULL: above,
            "reason": np.where(np.isnan(known), lacking, ""),
        }
    )


def summarise(frame: pd.DataFrame, k: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Figures of a table of candidates, as JSON has them.

    Args:
        frame: the table.
        k: candidates that were asked for.
        seconds: that the stages took.
    """
    placed = frame[frame["rank"].notna()]
    n_placed = int((frame["status"] != UNPLACED).sum())
    moved = frame[frame["energy_after"].notna()]
    found = placed["space_group_found"] == placed["space_group"]
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
        "median_energy_predicted": _median(placed["energy"]),
        "median_energy_before": _median(placed["energy_before"]),
        "relaxed": {
            "n": len(moved),
            **{
                f"median_{name}": _median(moved[name])
                for name in ("energy_before", "energy_after", *RELAXERS, *CHANGES)
            },
        },
        "seconds": dict(seconds),
        "structures_per_second": _number(rate),
    }


def _median(values: pd.Series) -> float | None:
    known = values.dropna()
    return _number(known.median()) if len(known) else None


def _number(value: Any) -> float | None:
    """A number as JSON has it, to six digits; None where there is none."""
    return None if value is None or pd.isna(value) else float(f"{float(value):.6g}")
