"""Tables of crystals, Parquet and CSV, as checked rows."""

from __future__ import annotations

import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import CIF_FILE, SPACE_GROUP
from gflownet_crystal.common.tables import read_csv, read_parquet
from gflownet_crystal.data.cif_rows import row_of_cif
from gflownet_crystal.data.rows import CELL, REASON, Row, rows_to_frame, table_to_rows
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS, require_columns
from gflownet_crystal.data.sources import SourceFile
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS


def table_of_file(file: SourceFile) -> pd.DataFrame | None:
    """The table in a Parquet or CSV file; None for other files.

    Args:
        file: file of crystals.

    Raises:
        DataError: the table cannot be read.
    """
    readers = {"parquet": read_parquet, "csv": read_csv}
    return readers[file.kind](file.path) if file.kind in readers else None


def rows_of_frame(
    frame: pd.DataFrame, file: SourceFile, formula_check: str = FORMULA_CHECKS[0]
) -> pd.DataFrame:
    """Checked rows of the table of a Parquet or CSV file.

    Args:
        frame: table of the file, see :func:`table_of_file`.
        file: file of the table.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.

    Raises:
        DataError: it lacks columns.
    """
    return (rows_of_csv if file.kind == "csv" else rows_of_table)(frame, file, formula_check)


def rows_of_table(
    frame: pd.DataFrame, file: SourceFile, formula_check: str = FORMULA_CHECKS[0]
) -> pd.DataFrame:
    """Checked rows of a table in the package's schema; rows without structures keep composition and space_group.

    Raises:
        DataError: it lacks columns.
    """
    if CIF_FILE in frame.columns and "lattice" not in frame.columns:
        return rows_of_cif_column(frame, file, formula_check)
    if "lattice" not in frame.columns and "composition" in frame.columns:
        require_columns(frame, ("composition", SPACE_GROUP), file.path)
        frame = named(frame.rename(columns={"matbench_id": "material_id"}), file)
        return _with_source(frame, file.path.stem).assign(**{REASON: "", CELL: None})
    require_columns(frame, STRUCTURE_COLUMNS[1:], file.path)
    return table_to_rows(named(frame, file).drop(columns=[REASON, CELL], errors="ignore"))


def rows_of_csv(
    frame: pd.DataFrame, file: SourceFile, formula_check: str = FORMULA_CHECKS[0]
) -> pd.DataFrame:
    """Checked rows of a CSV with a column ``cif``, with the columns of structures as texts of lists, or with formulas.

    Args:
        frame: table of the file.
        file: file of the table.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.

    Raises:
        DataError: it lacks columns.
    """
    if CIF_FILE in frame.columns:
        return rows_of_cif_column(frame, file, formula_check)
    if not (set(STRUCTURE_COLUMNS[1:]) <= set(frame.columns) or "composition" in frame.columns):
        raise DataError(
            f"{file.path} lacks the columns of crystals: give cif, {', '.join(STRUCTURE_COLUMNS[1:])}, or composition "
            f"and space_group; "
            f"it has {', '.join(map(str, frame.columns[:20]))}"
        )
    return rows_of_table(frame, file)


def rows_of_cif_column(
    frame: pd.DataFrame, file: SourceFile, formula_check: str = FORMULA_CHECKS[0]
) -> pd.DataFrame:
    """Rows of a table with the text of a CIF each, as the MP-20 benchmark has them.

    Args:
        frame: table with the column ``cif``.
        file: file of the table.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.

    Raises:
        DataError: the table lacks the column or has no rows.
    """
    require_columns(frame, (CIF_FILE,), file.path)
    frame = named(frame, file)
    rows = [
        row_of_cif(text, name, formula_check)
        if isinstance(text, str)
        else Row(name, reason="no text of a CIF")
        for name, text in zip(frame["material_id"], frame[CIF_FILE], strict=True)
    ]
    read = rows_to_frame(rows)
    kept = frame.drop(columns=[CIF_FILE, *(name for name in read.columns if name in frame.columns)])
    return _with_source(pd.concat([read, kept.reset_index(drop=True)], axis=1), f"mp20_{file.path.stem}")


def named(frame: pd.DataFrame, file: SourceFile) -> pd.DataFrame:
    """A table whose ``material_id`` are texts, by the file's name where it has none."""
    column = next((name for name in ("material_id", "name") if name in frame.columns), None)
    numbered = [f"{file.name}-{row}" for row in range(len(frame))]
    if column is None:
        return frame.assign(material_id=numbered)
    missing = frame[column].isna()
    return frame.assign(
        material_id=frame[column].astype(str).where(~missing, pd.Series(numbered, frame.index))
    )


def _with_source(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame if "energy_source" in frame.columns else frame.assign(energy_source=name)
