"""Formulas and space groups of crystals of any source: tables that say both, or structures whose groups are found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, HULL_COLUMN, SPACE_GROUP
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.sources import SourceFile, source_files
from gflownet_crystal.data.table_checks import formula_faults
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS, read_specs

COLUMNS = (FORMULA, SPACE_GROUP)
_LABELS = (ENERGY_COLUMN, "energy_source", HULL_COLUMN, "mp20_split")


def read_formulas(sources: Iterable[Path | str]) -> pd.DataFrame:
    """Formulas and space groups of the crystals in files and folders.

    Args:
        sources: tables, Parquet or CSV, with ``formula`` or ``composition`` and ``space_group``, such as spec files; or
            structures in any form that the package reads, whose groups are found.

    Returns:
        One row a crystal: ``formula``, ``space_group`` (0 where a table says so), and ``formation_energy_per_atom``,
        ``energy_source``, ``e_above_hull`` and ``mp20_split`` where a table has them.

    Raises:
        DataError: a file is unreadable or malformed, or there is nothing.
    """
    tables, structures = [], []
    for file in [file for source in sources for file in source_files(source)]:
        table = _formulas_of(file)
        if table is None:
            structures.append(file.path)
        else:
            tables.append(table)
    if structures:
        tables.append(load_prepared(structures))
    if not tables:
        raise DataError("no crystals to read: give a file or a folder")
    kept = [table[[name for name in (*COLUMNS, *_LABELS) if name in table.columns]] for table in tables]
    return pd.concat(kept, ignore_index=True)


def _formulas_of(file: SourceFile) -> pd.DataFrame | None:
    """The rows of a table that says formulas and groups; None for other files."""
    if file.kind == "parquet":
        table = read_parquet(file.path)
    elif file.kind == "csv":
        try:
            table = pd.read_csv(file.path)
        except (OSError, ValueError, MemoryError) as error:
            raise DataError(f"cannot read {file.path} as CSV: {str(error).splitlines()[0]}") from error
    else:
        return None
    if set(REQUIRED_COLUMNS) <= set(table.columns):
        return read_specs(file.path)
    if FORMULA not in table.columns and "composition" in table.columns:
        table = table.rename(columns={"composition": FORMULA})
    if not set(COLUMNS) <= set(table.columns):
        return None
    if "energy_source" not in table.columns:
        table = table.assign(energy_source=file.path.stem)
    return _checked(table, file.path)


def _checked(table: pd.DataFrame, origin: Path) -> pd.DataFrame:
    """The table with whole numbers of groups."""
    if table.empty:
        raise DataError(f"{origin} has no rows; give a file with crystals")
    groups = pd.to_numeric(table[SPACE_GROUP], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~((groups >= 0) & (groups <= N_SPACE_GROUPS) & (groups % 1.0 == 0.0))
    faults = formula_faults(table[FORMULA])
    for row in np.flatnonzero(wrong | np.array([bool(fault) for fault in faults]))[:1].tolist():
        reason = faults[row] or f"a space group that is not 1 to {N_SPACE_GROUPS}, or 0 where it is not known"
        raise DataError(f"{origin}, row {row}: {reason}")
    return table.assign(space_group=groups.astype(np.int64))
