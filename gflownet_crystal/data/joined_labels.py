"""Labels that stand in a table of their own, joined to crystals by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.tables import read_csv, read_parquet
from gflownet_crystal.data.readers import with_numbers
from gflownet_crystal.data.schema import require_columns

NAME = "material_id"


def with_joined_labels(table: pd.DataFrame, path: Path, label: str) -> pd.DataFrame:
    """A table of crystals with a column of labels from another table.

    Args:
        table: crystals with the column ``material_id``: the name of the file for a crystal of a folder.
        path: CSV or Parquet file with the columns ``material_id`` and ``label``.
        label: name of the column.

    Returns:
        The crystals; those that the other table does not name have an empty label.

    Raises:
        DataError: the file cannot be read, lacks a column, labels a crystal twice or without a number, or labels
            none of the crystals.
    """
    labels = read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    require_columns(labels, (NAME, label), path)
    labels, faults = with_numbers(labels[[NAME, label]], [label])
    names = labels[NAME].astype(str)
    for row, fault in enumerate(faults):
        if fault:
            raise DataError(f"{path}, row {row} ({names[row]}): {fault}")
    if names.duplicated().any():
        raise DataError(f"{path} names {names[names.duplicated()].iloc[0]} twice; give one {label} a crystal")
    joined = table[NAME].astype(str).map(pd.Series(labels[label].to_numpy(), index=names))
    if joined.isna().all():
        raise DataError(
            f"{path} names none of the crystals: its first is {names.iloc[0]}, that of the crystals "
            f"{table[NAME].iloc[0]}"
        )
    return table.assign(**{label: joined.to_numpy(dtype="float64")})
