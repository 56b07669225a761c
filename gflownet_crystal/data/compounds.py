"""Compounds and their lowest formation energies, from crystals of any source: the input of a convex hull."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.readers import map_files, read_file, readable
from gflownet_crystal.data.rows import REASON
from gflownet_crystal.data.schema import ENERGY_COLUMN, require_columns
from gflownet_crystal.data.sources import SourceFile
from gflownet_crystal.data.table_checks import formula_faults
from gflownet_crystal.data.tables import named
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition

_STRAIN_ENERGY = "delta_energy_per_atom"


def read_compounds(
    sources: Iterable[Path | str],
    one_scheme: bool = False,
    formula_check: str = "refuse",
    left_out: LeftOut | None = None,
) -> pd.DataFrame:
    """The lowest formation energy of each formula in files of crystals.

    Args:
        sources: files or folders, raw (see :func:`gflownet_crystal.data.readers.read_source`) or prepared, or Parquet
            with no more than ``formula`` and ``formation_energy_per_atom``. Strained crystals are left out.
        one_scheme: bring labels of before 2020 to the MaterialsProject2020 scheme first.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.
        left_out: collector of names and reasons of records that are no crystals; None raises at the first.

    Returns:
        One row a reduced formula: ``formula`` and ``formation_energy_per_atom`` (eV/atom), rows without energy dropped.

    Raises:
        DataError: a source is unreadable or malformed, or none has an energy.
    """
    paths = [Path(source) for source in sources]
    found = map_files(paths, lambda file: _compounds_of(file, formula_check, left_out), left_out)
    tables = [table for table in found if table is not None]
    names = ", ".join(map(str, paths))
    if not tables:
        raise DataError(f"{names} holds no crystals; give structures or formulas with {ENERGY_COLUMN}")
    table = pd.concat(tables, ignore_index=True)
    table = table[np.isfinite(table[ENERGY_COLUMN].to_numpy(dtype=np.float64))].reset_index(drop=True)
    if table.empty:
        raise DataError(f"{names} has no {ENERGY_COLUMN}; give crystals with labels, eV/atom")
    return lowest_by_formula(to_one_scheme(table) if one_scheme else table)


def lowest_by_formula(table: pd.DataFrame) -> pd.DataFrame:
    """Reduced formulas of a table (columns ``formula``, ``formation_energy_per_atom``) with their lowest energies."""
    formula = composition_to_text(reduce_composition(text_to_composition(table[FORMULA].tolist())))
    rows = pd.DataFrame({FORMULA: formula, ENERGY_COLUMN: table[ENERGY_COLUMN].to_numpy(dtype=np.float64)})
    return rows.groupby(FORMULA, as_index=False)[ENERGY_COLUMN].min()


def _compounds_of(file: SourceFile, formula_check: str, left_out: LeftOut | None) -> pd.DataFrame | None:
    """Formulas, energies and their sources; None for a file of strain energies."""
    frame = read_parquet(file.path) if file.kind == "parquet" else None
    if frame is not None and _STRAIN_ENERGY in frame.columns and ENERGY_COLUMN not in frame.columns:
        return None
    if frame is not None and FORMULA in frame.columns:
        require_columns(frame, (FORMULA,), file.path)
        frame = named(frame, file).assign(**{REASON: formula_faults(frame[FORMULA])})
        frame = readable(frame, file.path, left_out)
    else:
        rows = read_file(file, formula_check, frame=frame)
        if "composition" in rows.columns and "lattice" not in rows.columns:
            rows = rows.assign(**{REASON: formula_faults(rows["composition"])})
        frame = readable(rows, file.path, left_out)
        frame = frame.assign(formula=composition_to_text(_counts(frame)))
    if ENERGY_COLUMN not in frame.columns:
        frame = frame.assign(**{ENERGY_COLUMN: np.nan})
    if "strain" in frame.columns:
        frame = frame[(frame["strain"] == "").to_numpy()]
    source = frame["energy_source"].astype(str) if "energy_source" in frame.columns else "unknown"
    return frame[[FORMULA, ENERGY_COLUMN]].assign(energy_source=source)


def _counts(frame: pd.DataFrame) -> Tensor:
    """Atoms (n, 119) by atomic number of stored cells."""
    if "composition" in frame.columns:
        return text_to_composition(frame["composition"].tolist())
    numbers = [np.asarray(row, dtype=np.int64) for row in frame["atomic_numbers"]]
    row = np.repeat(np.arange(len(numbers)), [len(one) for one in numbers])
    counts = np.zeros((len(numbers), N_ATOMIC_NUMBERS), dtype=np.int64)
    np.add.at(counts, (row, np.concatenate(numbers)), 1)
    return torch.from_numpy(counts)
