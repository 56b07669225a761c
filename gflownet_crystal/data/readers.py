"""Readers of crystals from any of the usual files and folders, all to rows of one table.

A row is a crystal: material_id, lattice [a b c Å, alpha beta gamma degrees], atomic_numbers, frac_coords (flat); or it
has composition and space_group and no structure; labels where known. A record that is no crystal is a row with its
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import read_bytes
from gflownet_crystal.data.ase_database import rows_of_database
from gflownet_crystal.data.cif_rows import row_of_cif
from gflownet_crystal.data.extended_xyz import rows_of_xyz
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.poscar import row_of_poscar
from gflownet_crystal.data.pymatgen_json import rows_of_json
from gflownet_crystal.data.rows import REASON, Row, rows_to_frame, table_to_rows
from gflownet_crystal.data.schema import LABEL_COLUMNS
from gflownet_crystal.data.sources import SourceFile, files_of_all, source_files
from gflownet_crystal.data.tables import named, rows_of_frame, table_of_file
from gflownet_crystal.data.tensor_files import read_tensor_file
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS

_REFUSE = FORMULA_CHECKS[0]
_T = TypeVar("_T")


def read_source(
    source: Path | str, formula_check: str = _REFUSE, left_out: LeftOut | None = None
) -> pd.DataFrame:
    """The crystals of a file or folder.

    Args:
        source: ``.cif``, POSCAR, ``.json`` of pymatgen or MatBench, extended ``.xyz``, ``.db`` of ASE, ``.csv`` with a
            column ``cif`` or the structure's columns, ``.parquet`` in the package's schema (with structures, or with
            composition and space_group), ``.pt`` with tensors; or a folder of any of these, mixed or not.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.
        left_out: collector of names and reasons of records that are no crystals; None raises at the first.

    Returns:
        One frame, rows in the order of the source, all of them crystals.

    Raises:
        DataError: nothing readable, or, without ``left_out``, a row that is no crystal; one line.
    """
    return readable(read_rows(source, formula_check), source, left_out)


def read_rows(source: Path | str, formula_check: str = _REFUSE) -> pd.DataFrame:
    """All rows of a file or folder, see :func:`read_source`; those that are no crystals with a ``reason``.

    Raises:
        DataError: nothing readable; a file alone that cannot be read. In a folder such a file is a row with a reason.
    """
    files = source_files(source)
    tables = [read_file(file, formula_check, alone=not Path(source).is_dir()) for file in files]
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def read_file(
    file: SourceFile, formula_check: str = _REFUSE, alone: bool = True, frame: pd.DataFrame | None = None
) -> pd.DataFrame:
    """All rows of one file.

    Args:
        file: file of any kind.
        formula_check: check of formulas, as of :func:`read_source`.
        alone: whether a file that cannot be read is an error, and not a row with a reason.
        frame: table of the file where it has been read already; None to read it.

    Raises:
        DataError: the file cannot be read, and ``alone`` is set.
    """
    try:
        frame = table_of_file(file) if frame is None else frame
        if frame is not None:
            return rows_of_frame(frame, file, formula_check)
        return _READERS[file.kind](file, formula_check)
    except DataError as error:
        if alone:
            raise
        return rows_to_frame([Row(file.name, reason=reason_of(error, file.path))])


def map_files(
    sources: Iterable[Path | str], read: Callable[[SourceFile], _T], left_out: LeftOut | None = None
) -> list[_T]:
    """Read every file of several sources.

    Args:
        sources: files and folders.
        read: reads a file.
        left_out: takes files of folders that cannot be read; None raises at the first.

    Returns:
        Results in order.

    Raises:
        DataError: a file that was named cannot be read, or none of a folder.
    """
    results = []
    paths = list(map(Path, sources))
    for source, files in zip(paths, files_of_all(paths), strict=True):
        refused: list[DataError] = []
        for file in files:
            try:
                results.append(read(file))
            except DataError as error:
                refused.append(error)
                if left_out is None or not source.is_dir() or len(refused) == len(files):
                    raise
                left_out.add(file.name, reason_of(error, file.path))
    return results


def readable(
    frame: pd.DataFrame, source: Path | str, left_out: LeftOut | None = None, labels: Collection[str] = ()
) -> pd.DataFrame:
    """The rows that are crystals and whose labels are numbers.

    Args:
        frame: frame of :func:`read_rows`.
        source: named in errors.
        left_out: entries left out, as of :func:`read_source`.
        labels: further columns that hold numbers.

    Raises:
        DataError: none is, or, without ``left_out``, not all are.
    """
    frame, faults = with_numbers(frame, (*LABEL_COLUMNS, *labels))
    reasons = [reason or fault for reason, fault in zip(frame[REASON], faults, strict=True)]
    good = np.array([not reason for reason in reasons], dtype=bool)
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        name, reason = frame["material_id"].iloc[first], reasons[first]
        if left_out is None:
            raise DataError(f"{source}, row {first} ({name}): {reason}")
        if not good.any():
            raise DataError(
                f"{source}: none of {len(frame)} crystals could be read; the first, {name}: {reason}"
            )
        left_out.add_rows(frame["material_id"], reasons)
    return frame[good].reset_index(drop=True)


def with_numbers(
    frame: pd.DataFrame, labels: Iterable[str] = LABEL_COLUMNS
) -> tuple[pd.DataFrame, list[str]]:
    """A table whose labels are float64, and for each row why a label of it is none; empty ones are NaN."""
    faults = [""] * len(frame)
    for name in dict.fromkeys(labels):
        if name not in frame.columns:
            continue
        empty = frame[name].isna().to_numpy()
        if frame[name].dtype == object:
            empty |= np.array(
                [isinstance(value, str) and not value.strip() for value in frame[name]], dtype=bool
            )
        try:
            numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError, OverflowError):  # lists, or numbers beyond any float
            numbers = np.full(len(frame), np.nan)
        for row in np.flatnonzero(~empty & ~np.isfinite(numbers)):
            faults[row] = faults[row] or f"{name} that is no finite number"
        frame = frame.assign(**{name: numbers})
    return frame, faults


def reason_of(error: Exception, path: Path) -> str:
    """An error's text without the name of the file, which stands beside it."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def _rows_of_cif(file: SourceFile, formula_check: str) -> pd.DataFrame:
    return _single(row_of_cif(read_bytes(file.path), file.name, formula_check, str(file.path)), file)


def _rows_of_poscar(file: SourceFile, formula_check: str) -> pd.DataFrame:
    return _single(row_of_poscar(_text(file.path), file.name), file)


def _single(row: Row, file: SourceFile) -> pd.DataFrame:
    """The row of a file of one crystal; a file that holds none is one that cannot be read."""
    frame = rows_to_frame([row])
    if reason := frame[REASON].iloc[0]:
        raise DataError(f"{file.path}: {reason}")
    return frame


def _rows_of_xyz(file: SourceFile, formula_check: str) -> pd.DataFrame:
    rows = rows_of_xyz(_text(file.path), file.name)
    if not rows or all(row.reason for row in rows):
        reason = rows[0].reason if rows else "it is empty"
        raise DataError(f"{file.path}: no crystals in it, {reason}; give a whole file")
    return rows_to_frame(rows)


def _rows_of_json(file: SourceFile, formula_check: str) -> pd.DataFrame:
    return rows_to_frame(rows_of_json(file.path, file.name))


def _rows_of_database(file: SourceFile, formula_check: str) -> pd.DataFrame:
    return rows_to_frame(rows_of_database(file.path, file.name))


def _rows_of_tensors(file: SourceFile, formula_check: str) -> pd.DataFrame:
    frame, _ = read_tensor_file(file.path)
    return table_to_rows(named(frame, file))


def _text(path: Path) -> str:
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


_READERS: dict[str, Callable[[SourceFile, str], pd.DataFrame]] = {
    "cif": _rows_of_cif,
    "db": _rows_of_database,
    "json": _rows_of_json,
    "poscar": _rows_of_poscar,
    "tensors": _rows_of_tensors,
    "xyz": _rows_of_xyz,
}
