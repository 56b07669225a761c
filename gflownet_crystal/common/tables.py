"""Tables of Parquet and CSV files, damaged ones refused in one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pyarrow.lib import ArrowException

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import atomic_path

_OF_PYTHON = (OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError, NotImplementedError)
DAMAGES = (*_OF_PYTHON, ArrowException)
"""Errors of readers of tables. Most of Arrow's are OSErrors and ValueErrors; damaged bytes of a file's footer raise the
others too, and may ask for any amount of memory."""

# pandas before 3 loses the last bits of numbers unless told not to; pandas from 3 on warns where it is told
_EXACT: dict[str, object] = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}


def read_parquet(path: Path) -> pd.DataFrame:
    """Any Parquet file.

    Raises:
        DataError: the file is missing, or not Parquet.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"no data at {path}; give a file") from error
    except DAMAGES as error:
        raise DataError(f"cannot read {path} as Parquet: {first_line(error)}") from error


def read_parquets(paths: Iterable[Path | str]) -> pd.DataFrame:
    """The rows of several Parquet files, one after the other.

    Raises:
        DataError: a file is missing, or not Parquet.
    """
    return pd.concat([read_parquet(Path(path)) for path in paths], ignore_index=True)


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a Parquet file, whole or not at all, without the index of the table.

    Raises:
        DataError: the folder cannot be written.
    """
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_csv(path: Path, equal_lines: bool = False) -> pd.DataFrame:
    """Any CSV file, its numbers exact to the last bit.

    Args:
        path: path of the file.
        equal_lines: refuse lines that are longer or shorter than the header.

    Raises:
        DataError: the file is missing, or not CSV.
    """
    try:
        return pd.read_csv(path, engine="pyarrow") if equal_lines else pd.read_csv(path, **_EXACT)
    except FileNotFoundError as error:
        raise DataError(f"no data at {path}; give a file") from error
    except DAMAGES as error:
        raise DataError(f"cannot read {path} as CSV: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
