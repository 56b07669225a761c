"""Candidates as files: one table, their structures, and a table of the specs that were left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.common.objective_columns import objective_columns
from gflownet_crystal.common.run_schema import CANDIDATES, ENERGY_AFTER, ENERGY_BEFORE, LEFT_OUT, PARETO_RANK
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.report.run_files import PLACED
from gflownet_crystal.structures.spec_io import RESULT_COLUMNS, SPEC_COLUMNS, frame_to_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.writing import (
    CIF,
    FORMATS,
    NAME,
    SINGLE,
    STEM,
    SUFFIXES,
    numbered_names,
    write_structures,
)
from gflownet_crystal.workflows.candidates.relatives import nearest_relatives
from gflownet_crystal.workflows.candidates.screening import Outcome
from gflownet_crystal.workflows.candidates.screening_batches import UNPLACED
from gflownet_crystal.workflows.candidates.shortlist import KNOWN_COLUMNS
from gflownet_crystal.workflows.placing.placing import CONTACT, CONTACT_RATIO, ENERGY_STD, why_unplaced
from gflownet_crystal.workflows.placing.property_columns import PropertyColumns
from gflownet_crystal.workflows.sampling.objectives import with_fronts

RATED = (ENERGY_BEFORE, "energy_before_std", JUDGED_HULL, CONTACT, CONTACT_RATIO)
"""With atoms as placed: energy and standard deviation, eV/atom; distance to the hull, eV/atom; the tightest contact."""

NEWNESS = ("hull_entries", *KNOWN_COLUMNS, "relative")
COLUMNS = ("rank", *SPEC_COLUMNS, HULL_COLUMN, *RATED, *NEWNESS, "status", "reason", "sample", "try", "cif")
"""Columns of ``candidates.csv`` and ``left_out.csv``; those of several objectives follow."""
_COUNTS = ("rank", "try")

ENERGIES = ENERGY_BEFORE, ENERGY_AFTER
_KEPT = ("rank", "space_group", *ENERGIES, JUDGED_HULL, CONTACT, "relative", "status", "sample", "try")
_OWN_NAME = re.compile(r"(cif/)?\d{3,}_([A-Z][a-z]?\d*)+\.cif")


@dataclass(frozen=True)
class Candidates:
    """Candidates of a table of samples.

    Attributes:
        frame: rank from 1 and the other columns of a table of candidates.
        structures: their atoms, in the same order; conventional cells in the ITA setting; None for none.
        left_out: specs that were tried and are none, with the reasons.
    """

    frame: pd.DataFrame
    structures: StructureBatch | None
    left_out: pd.DataFrame


def candidates_of(outcome: Outcome, known: KnownCompounds) -> Candidates:
    """Candidates of a screening, as tables.

    Args:
        outcome: outcome of the screening.
        known: known compounds.

    Raises:
        DataError: no spec got atoms.
    """
    placed, left_out = (tried_rows(outcome.frame, made) for made in (outcome.placed, outcome.left_out))
    if placed.empty and left_out.empty:
        raise DataError(
            f"none of {len(outcome.frame)} samples is left to place: draw more, train longer, or loosen "
            "screening.known or screening.limits"
        )
    if placed.empty and left_out["status"].isin([UNPLACED]).all():
        raise DataError(
            f"none of {len(left_out)} distinct samples could be placed: draw more samples or train longer"
        )
    names = [] if outcome.structures is None else cif_names(outcome.structures)
    ranked = placed.assign(
        rank=np.arange(1, len(placed) + 1), status=PLACED, relative=relatives(placed, known), cif=names
    )
    ranked = with_fronts(ranked)
    return Candidates(_ordered(ranked), outcome.structures, _ordered(left_out))


def with_properties(candidates: Candidates, properties: PropertyColumns) -> Candidates:
    """The same with columns of properties of their atoms."""
    if candidates.structures is None:
        return candidates
    columns = properties.values(candidates.structures, candidates.frame.columns)
    return replace(candidates, frame=candidates.frame.assign(**columns))


def tried_rows(frame: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Tried specs joined with the structures that the generator made of them.

    Args:
        frame: all samples.
        made: columns of :class:`~gflownet_crystal.workflows.placing.placing.Placer`, ``status`` and ``reason``.
    """
    # fronts of samples are none of the candidates among them
    rows = frame.loc[made["row"].to_numpy(dtype=np.int64)].drop(columns=PARETO_RANK, errors="ignore")
    table = rows.reset_index(drop=True).assign(
        **{
            name: made[stored].to_numpy()
            for name, stored in zip(RATED, (ENERGY_COLUMN, ENERGY_STD, *RATED[2:]), strict=True)
        },
        **{name: made[name].to_numpy() for name in ("try", "status", "reason") if name in made.columns},
        sample=made["row"].to_numpy(dtype=np.int64),
    )
    if "status" in table.columns:
        unplaced = (table["status"] == UNPLACED).to_numpy(dtype=bool)
        table.loc[unplaced, "reason"] = why_unplaced(rows[unplaced])
    return table


def relatives(frame: pd.DataFrame, known: KnownCompounds) -> list[str]:
    """The nearest known relative of each spec."""
    if frame.empty:
        return []
    specs = frame_to_specs(frame)
    return nearest_relatives(specs.composition, specs.space_group, known)


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reindex(columns=[*COLUMNS, *objective_columns(frame)]).astype(
        dict.fromkeys(_COUNTS, "Int64")
    )


def with_results(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of specs with its results as numbers, NaN where a value is none.

    Raises:
        DataError: a column of a spec file is missing.
    """
    missing = [name for name in SPEC_COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(
            f"the samples have no column {', '.join(missing)}: give a file that sample has written"
        )
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in RESULT_COLUMNS})


def write_candidates(
    folder: Path, candidates: Candidates, formats: Sequence[str] = (CIF,), energy_source: str | None = None
) -> None:
    """Write the candidates' structures, then the tables; structures of an earlier table that are none now are removed.

    Args:
        folder: folder to write to.
        candidates: their table names the CIFs.
        formats: file formats of the structures, CIF among them, see :mod:`gflownet_crystal.structures.writing`.
        energy_source: name of the model that gave the energies.

    Raises:
        DataError: the folder cannot be written.
    """
    placed = candidates.frame[candidates.frame["cif"].notna()]
    earlier = _listed(folder)
    if candidates.structures is not None:
        write_structures(folder, candidates.structures, _values(placed, energy_source), formats)
    for name, table in ((CANDIDATES, candidates.frame), (LEFT_OUT, candidates.left_out)):
        with atomic_path(folder / name) as temporary:
            table.to_csv(temporary, index=False)
    names = placed["cif"].tolist()
    kept = {folder / name for name in (*names, *_others(names, formats))}
    for name in earlier.union(_others(earlier, FORMATS) if earlier else ()):
        if folder / name not in kept:
            (folder / name).unlink(missing_ok=True)


def _values(frame: pd.DataFrame, energy_source: str | None) -> pd.DataFrame:
    """Values of candidates in files of structures: the energy is the latest that is known."""
    before, after = (frame.get(name, pd.Series(np.nan, frame.index)) for name in ENERGIES)
    table = pd.DataFrame({NAME: [Path(name).stem for name in frame["cif"]], CIF: frame["cif"].to_numpy()})
    table[ENERGY_COLUMN] = after.fillna(before).to_numpy(dtype=np.float64)
    table["energy_source"] = table[ENERGY_COLUMN].map(
        lambda value: energy_source if np.isfinite(value) else None
    )
    return table.assign(**{name: frame[name].to_numpy() for name in _KEPT if name in frame.columns})


def _others(cifs: Collection[str], formats: Sequence[str]) -> set[str]:
    """Files beside the CIFs of candidates in some formats."""
    stems = [Path(name).stem for name in cifs]
    single = {
        f"{chosen}/{stem}{SUFFIXES[chosen]}" for chosen in SINGLE if chosen in formats for stem in stems
    }
    together = {f"{STEM}{SUFFIXES[chosen]}" for chosen in formats if chosen not in SINGLE}
    return {name for name in single if not name.endswith(SUFFIXES[CIF])} | (together if stems else set())


def cif_names(structures: StructureBatch) -> list[str]:
    """Names of the CIFs of ranked structures, best first: rank and reduced formula."""
    return [f"{name}{SUFFIXES[CIF]}" for name in numbered_names(structures)]


def _listed(folder: Path) -> set[str]:
    """CIFs of an earlier table; only names that :func:`cif_names` gives, so that nothing else is touched."""
    try:
        names = pd.read_csv(folder / CANDIDATES)["cif"].dropna().astype(str)
    except (OSError, ValueError, KeyError):
        return set()
    return {name for name in names if _OWN_NAME.fullmatch(name)}
