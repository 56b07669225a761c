"""From raw crystals to the prepared table: conventional specs, labels and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.data.readers import read_source, read_table
from gflownet_crystal.data.schema import (
    ENERGY_COLUMN,
    LATTICE_COLUMNS,
    PREPARED_COLUMNS,
    PROVENANCE_COLUMNS,
    STRAIN_COLUMNS,
    STRUCTURE_COLUMNS,
    require_columns,
)
from gflownet_crystal.data.standardize import StandardCells, standard_cells, strained_parameters
from gflownet_crystal.structures.formulas import composition_to_text, text_to_composition
from gflownet_crystal.structures.symmetry import SYMPREC

Progress = Callable[[Iterable[int]], Iterable[int]]


def is_prepared(frame: pd.DataFrame) -> bool:
    """Whether a frame already holds conventional specs rather than stored structures."""
    return set(PREPARED_COLUMNS) <= set(frame.columns)


def load_prepared(
    sources: Iterable[Path | str], progress: Progress = iter, *, atoms: bool = False
) -> pd.DataFrame:
    """One prepared table of several sources, each raw or already prepared.

    Args:
        sources: files or folders, see :func:`gflownet_crystal.data.readers.read_source`; strained-energies files are
            joined to the structures of the other sources.
        progress: wraps the row counter of each conversion.
        atoms: keep the stored cells with their atoms, the columns of STRUCTURE_COLUMNS, where a source has them.

    Raises:
        DataError: a source is unreadable, malformed, or strains crystals that no source holds.
    """
    tables, strained = [], []
    for path in _expand(sources):
        frame = read_table(path) if path.suffix == ".parquet" else None
        if frame is not None and is_prepared(frame):
            tables.append(frame)
        elif frame is not None and "delta_energy_per_atom" in frame.columns:
            strained.append((path, frame))
        else:
            tables.append(prepare(read_source(path), progress=progress, atoms=atoms))
    if not tables:
        raise DataError("no crystals to prepare: strained energies need the file of their structures as well")
    table = pd.concat(tables, ignore_index=True)
    for path, frame in strained:
        table = pd.concat([table, prepare_strained(frame, table, path)], ignore_index=True)
    return table.drop(columns=[column for column in table.columns if column.startswith("_")])


def prepare(
    frame: pd.DataFrame, symprec: float = SYMPREC, progress: Progress = iter, *, atoms: bool = False
) -> pd.DataFrame:
    """Convert stored structures to conventional specs.

    Args:
        frame: as the readers return.
        symprec: tolerance of the symmetry search, A.
        progress: wraps the row counter.
        atoms: keep the stored cells with their atoms, the columns of STRUCTURE_COLUMNS.

    Returns:
        The prepared table; crystals without symmetry at this tolerance are left out. A column ``_linear`` keeps each
        change of basis for strained cells.

    Raises:
        DataError: a row is malformed.
    """
    if "lattice" not in frame.columns:
        return _without_structure(frame)
    cells = standard_cells(
        _lattice_array(frame), list(frame["atomic_numbers"]), list(frame["frac_coords"]), symprec, progress
    )
    table = pd.DataFrame({"material_id": frame["material_id"].astype(str).to_numpy()})
    _put_cells(table, cells)
    table["_linear"] = list(cells.linear.reshape(-1, 9))
    for column in STRUCTURE_COLUMNS[1:] if atoms else ():
        table[column] = frame[column].to_numpy()
    return _with_labels(table, frame)[cells.space_group > 0].reset_index(drop=True)


def _lattice_array(frame: pd.DataFrame) -> NDArray[np.float64]:
    try:
        lattices = np.stack([np.asarray(lattice, dtype=np.float64) for lattice in frame["lattice"]])
    except (ValueError, TypeError) as error:
        raise DataError(f"column lattice: every row needs a b c alpha beta gamma ({error})") from error
    if lattices.ndim != 2 or lattices.shape[1] != 6:
        raise DataError(
            f"column lattice: every row needs the six numbers a b c alpha beta gamma, not {lattices.shape}"
        )
    return lattices


def _put_cells(table: pd.DataFrame, cells: StandardCells) -> None:
    table["space_group"] = cells.space_group
    table["formula"] = composition_to_text(torch.from_numpy(cells.counts.astype(np.int64)))
    for column, values in zip(LATTICE_COLUMNS, cells.parameters.T, strict=True):
        table[column] = values


def _with_labels(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    labels = frame[ENERGY_COLUMN].to_numpy(dtype=np.float64) if ENERGY_COLUMN in frame.columns else np.nan
    source = frame["energy_source"].astype(str).to_numpy() if "energy_source" in frame.columns else "unknown"
    table[ENERGY_COLUMN], table["energy_source"], table["strain"] = labels, source, ""
    for column in PROVENANCE_COLUMNS:
        if column in frame.columns:
            table[column] = frame[column].to_numpy()
    return table


def _without_structure(frame: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame({"material_id": frame["material_id"].astype(str).to_numpy()})
    table["space_group"] = frame["space_group"].to_numpy(dtype=np.int64)
    table["formula"] = composition_to_text(conventional_counts(frame))
    for column in LATTICE_COLUMNS:
        table[column] = np.nan
    return _with_labels(table, frame)


def conventional_counts(frame: pd.DataFrame) -> torch.Tensor:
    """Counts (n, 119) int64 of the conventional cell, from a primitive ``composition`` and ``space_group``."""
    group = torch.from_numpy(frame["space_group"].to_numpy(dtype=np.int64).copy())
    return text_to_composition(frame["composition"].tolist()) * lattice_points(group)[:, None]


def prepare_strained(strained: pd.DataFrame, table: pd.DataFrame, origin: Path | str) -> pd.DataFrame:
    """Conventional cells of strained crystals, labelled with the crystal's energy plus the strain's.

    Args:
        strained: columns of STRAIN_COLUMNS.
        table: prepared with :func:`prepare`, so that each change of basis is known.
        origin: named in errors.

    Raises:
        DataError: a column is missing or a crystal is not in ``table``.
    """
    require_columns(strained, STRAIN_COLUMNS, origin)
    if "_linear" not in table.columns:
        raise DataError(
            f"{origin} strains stored cells: give the structures themselves, not a prepared table"
        )
    rows = pd.Series(table.index, index=table["material_id"])
    rows = rows[~rows.index.duplicated()].reindex(strained["material_id"].astype(str))
    if rows.isna().any():
        raise DataError(
            f"{origin} strains crystals that no source holds, such as {rows.index[rows.isna()][0]}"
        )
    out = table.loc[rows.to_numpy(dtype=np.int64)].reset_index(drop=True)
    linear = np.stack(list(out["_linear"])).reshape(-1, 3, 3)
    parameters = strained_parameters(
        _lattice_array(strained), linear, out["space_group"].to_numpy(dtype=np.int64)
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
    true_cell = (table["strain"] == "").to_numpy() & table[LATTICE_COLUMNS[0]].notna().to_numpy()
    labelled = np.isfinite(table[ENERGY_COLUMN].to_numpy(dtype=np.float64))
    rows = table[true_cell & labelled].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"{origin} has no crystals with {ENERGY_COLUMN}; give structures with labels")
    return rows


def _expand(sources: Iterable[Path | str]) -> list[Path]:
    paths: list[Path] = []
    for source in sources:
        path = Path(source)
        tables = sorted(path.glob("*.parquet")) if path.is_dir() else []
        paths.extend(tables or [path])
    return paths
