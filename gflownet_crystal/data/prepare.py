"""From raw crystals to the prepared table: conventional specs, labels and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.readers import map_files, read_file, readable
from gflownet_crystal.data.rows import REASON, table_to_rows
from gflownet_crystal.data.schema import (
    ENERGY_COLUMN,
    LATTICE_COLUMNS,
    PREPARED_COLUMNS,
    PROVENANCE_COLUMNS,
    STRUCTURE_COLUMNS,
)
from gflownet_crystal.data.sources import SourceFile
from gflownet_crystal.data.spec_tables import is_specs, specs_to_prepared
from gflownet_crystal.data.splits import true_cells
from gflownet_crystal.data.standardize import StandardCells, standard_cells, strained_parameters
from gflownet_crystal.data.table_checks import check_prepared, check_strained, mark_crowded, spec_faults
from gflownet_crystal.data.tables import rows_of_frame, table_of_file
from gflownet_crystal.structures.formulas import composition_to_text, text_to_composition
from gflownet_crystal.structures.symmetry import SYMPREC

Progress = Callable[[Iterable[int]], Iterable[int]]


def is_prepared(frame: pd.DataFrame) -> bool:
    """Whether a frame already holds conventional specs rather than stored structures."""
    return set(PREPARED_COLUMNS) <= set(frame.columns)


def load_prepared(
    sources: Iterable[Path | str],
    progress: Progress = iter,
    *,
    atoms: bool = False,
    labels: Sequence[str] = (),
    formula_check: str = "refuse",
    left_out: LeftOut | None = None,
) -> pd.DataFrame:
    """One prepared table of several sources, each raw or already prepared.

    Args:
        sources: files or folders, see :func:`gflownet_crystal.data.readers.read_source`; strained-energies files are
            joined to the structures of the other sources.
        progress: wraps the row counter of each conversion.
        atoms: keep the stored cells with their atoms, the columns of STRUCTURE_COLUMNS, where a source has them.
        labels: further columns of numbers to keep, where a source has them.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.
        left_out: collector of names and reasons of records that are no crystals; None raises at the first.

    Raises:
        DataError: a source is unreadable, malformed, strains crystals that no source holds, or has no crystals at all.
    """
    strained: list[tuple[Path, pd.DataFrame]] = []

    def read(file: SourceFile) -> list[pd.DataFrame]:
        frame = table_of_file(file)
        if frame is not None and file.kind == "parquet" and _is_strained(frame):
            strained.append((file.path, frame))
            return []
        if frame is not None and is_specs(frame) and not is_prepared(frame):
            frame = specs_to_prepared(frame, file)
        if frame is not None and is_prepared(frame):
            return [check_prepared(frame, file.path, left_out, labels)]
        rows = read_file(file, formula_check) if frame is None else rows_of_frame(frame, file, formula_check)
        rows = readable(rows, file.path, left_out, labels)
        return [prepare(rows, progress=progress, atoms=atoms, labels=labels, left_out=left_out)]

    tables = [table for found in map_files(sources, read, left_out) for table in found]
    if not tables:
        raise DataError("no crystals to prepare: strained energies need the file of their structures as well")
    table = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    for path, frame in strained:
        table = pd.concat([table, prepare_strained(frame, table, path, left_out)], ignore_index=True)
    return table.drop(columns=[column for column in table.columns if column.startswith("_")])


def _is_strained(frame: pd.DataFrame) -> bool:
    return "delta_energy_per_atom" in frame.columns and not is_prepared(frame)


def prepare(
    frame: pd.DataFrame,
    symprec: float = SYMPREC,
    progress: Progress = iter,
    *,
    atoms: bool = False,
    labels: Sequence[str] = (),
    left_out: LeftOut | None = None,
) -> pd.DataFrame:
    """Convert stored structures to conventional specs.

    Args:
        frame: frame as the readers return.
        symprec: tolerance of the symmetry search, Å.
        progress: wraps the row counter.
        atoms: keep the stored cells with their atoms, the columns of STRUCTURE_COLUMNS.
        labels: further columns of numbers to keep.
        left_out: collector of names and reasons of records that are no crystals; None raises at the first.

    Returns:
        The prepared table; crystals without symmetry at this tolerance are left out. A column ``_linear`` keeps each
        change of basis for strained cells.

    Raises:
        DataError: a row is malformed, or none is left.
    """
    if "lattice" not in frame.columns:
        return _without_structure(frame, labels, left_out)
    frame = readable(mark_crowded(table_to_rows(frame)), "the crystals", left_out, labels)
    cells = standard_cells(
        np.stack(list(frame["lattice"])),
        list(frame["atomic_numbers"]),
        list(frame["frac_coords"]),
        symprec,
        progress,
    )
    table = pd.DataFrame({"material_id": frame["material_id"].astype(str).to_numpy()})
    _put_cells(table, cells)
    table["_linear"] = list(cells.linear.reshape(-1, 9))
    for column in STRUCTURE_COLUMNS[1:] if atoms else ():
        table[column] = frame[column].to_numpy()
    found = cells.space_group > 0
    if left_out is not None:
        reasons = np.where(found, "", f"no symmetry found at {symprec:g} Å")
        left_out.add_rows(table["material_id"], reasons.tolist())
    if not found.any():
        raise DataError(
            f"no symmetry found at {symprec:g} Å in any of {len(table)} crystals: check their cells and distances"
        )
    return _with_labels(table, frame, labels)[found].reset_index(drop=True)


def _put_cells(table: pd.DataFrame, cells: StandardCells) -> None:
    table[SPACE_GROUP] = cells.space_group
    table[FORMULA] = composition_to_text(torch.from_numpy(cells.counts.astype(np.int64)))
    for column, values in zip(LATTICE_COLUMNS, cells.parameters.T, strict=True):
        table[column] = values


def _with_labels(table: pd.DataFrame, frame: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    energy = frame[ENERGY_COLUMN].to_numpy(dtype=np.float64) if ENERGY_COLUMN in frame.columns else np.nan
    source = frame["energy_source"].astype(str).to_numpy() if "energy_source" in frame.columns else "unknown"
    table[ENERGY_COLUMN], table["energy_source"], table["strain"] = energy, source, ""
    for column in (*PROVENANCE_COLUMNS, *(name for name in labels if name != ENERGY_COLUMN)):
        if column in frame.columns:
            table[column] = frame[column].to_numpy()
    return table


def _without_structure(frame: pd.DataFrame, labels: Sequence[str], left_out: LeftOut | None) -> pd.DataFrame:
    reasons = spec_faults(frame["composition"], frame[SPACE_GROUP])
    frame = readable(frame.assign(**{REASON: reasons}), "the compositions", left_out, labels)
    table = pd.DataFrame({"material_id": frame["material_id"].astype(str).to_numpy()})
    table[SPACE_GROUP] = frame[SPACE_GROUP].to_numpy(dtype=np.int64)
    table[FORMULA] = composition_to_text(conventional_counts(frame))
    for column in LATTICE_COLUMNS:
        table[column] = np.nan
    return _with_labels(table, frame, labels)


def conventional_counts(frame: pd.DataFrame) -> torch.Tensor:
    """Counts (n, 119) int64 of the conventional cell, from a primitive ``composition`` and ``space_group``."""
    group = torch.from_numpy(frame[SPACE_GROUP].to_numpy(dtype=np.int64).copy())
    return text_to_composition(frame["composition"].tolist()) * lattice_points(group)[:, None]


def prepare_strained(
    strained: pd.DataFrame, table: pd.DataFrame, origin: Path | str, left_out: LeftOut | None = None
) -> pd.DataFrame:
    """Conventional cells of strained crystals, labelled with the crystal's energy plus the strain's.

    Args:
        strained: columns of STRAIN_COLUMNS.
        table: prepared with :func:`prepare`, so that each change of basis is known.
        origin: named in errors.
        left_out: collector of names and reasons of cells that are none; has those of crystals left out before;
            None raises at the first.

    Raises:
        DataError: a column is missing or a crystal is not in ``table``.
    """
    if "_linear" not in table.columns:
        raise DataError(
            f"{origin} strains stored cells: give the structures themselves, not a prepared table"
        )
    strained = check_strained(strained, set(table["material_id"]), origin, left_out)
    if strained.empty:
        return table.iloc[:0]
    rows = pd.Series(table.index, index=table["material_id"])
    rows = rows[~rows.index.duplicated()].reindex(strained["material_id"])
    out = table.loc[rows.to_numpy(dtype=np.int64)].reset_index(drop=True)
    linear = np.stack(list(out["_linear"])).reshape(-1, 3, 3)
    parameters = strained_parameters(
        np.stack(list(strained["lattice"])), linear, out[SPACE_GROUP].to_numpy(dtype=np.int64)
    )
    for column, values in zip(LATTICE_COLUMNS, parameters.T, strict=True):
        out[column] = values
    out["strain"] = strained["strain"].astype(str).to_numpy()
    out["delta_energy_per_atom"] = strained["delta_energy_per_atom"].to_numpy(dtype=np.float64)
    out[ENERGY_COLUMN] = out[ENERGY_COLUMN] + out["delta_energy_per_atom"]
    return out


def labelled_crystals(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    """The rows with a lattice and a label, strained cells left out.

    Raises:
        DataError: there are none.
    """
    true_cell = true_cells(table)
    labelled = np.isfinite(table[ENERGY_COLUMN].to_numpy(dtype=np.float64))
    rows = table[true_cell & labelled].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"{origin} has no crystals with {ENERGY_COLUMN}; give structures with labels")
    return rows
