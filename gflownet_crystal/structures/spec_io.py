"""Spec files: one row a spec, Parquet or CSV, exact in both directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.common.run_schema import ENERGY, ENERGY_STD, FORMULA, LOG_REWARD, SPACE_GROUP, VOLUME
from gflownet_crystal.common.tables import read_csv, read_parquet
from gflownet_crystal.crystallography.space_groups import check_space_group
from gflownet_crystal.structures.checks import check_parameters
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.site_letters import sites_to_text, text_to_sites
from gflownet_crystal.structures.spec import CrystalSpec

LENGTH_COLUMNS = ("a", "b", "c")
ANGLE_COLUMNS = ("alpha", "beta", "gamma")
REQUIRED_COLUMNS = (SPACE_GROUP, FORMULA, *LENGTH_COLUMNS, *ANGLE_COLUMNS)
RESULT_COLUMNS = (ENERGY, ENERGY_STD, LOG_REWARD)
SPEC_COLUMNS = (*REQUIRED_COLUMNS, VOLUME, *RESULT_COLUMNS)
"""All columns of a spec file in order: Å, degrees, Å^3; energy in the unit of the run's proxy."""

LETTERS = "wyckoff"
"""Optional column: the Wyckoff positions that generators have to take, as ``Ti:a O:f``; empty for any."""


def specs_to_frame(specs: CrystalSpec, **columns: ArrayLike | Tensor) -> pd.DataFrame:
    """One row a spec.

    Args:
        specs: n specs.
        columns: n values each, such as ``energy``; those of :data:`RESULT_COLUMNS` not given are NaN.

    Returns:
        A frame of :data:`SPEC_COLUMNS`, :data:`LETTERS` if a spec prescribes positions, and the other given columns.

    Raises:
        DataError: a column does not have n values.
    """
    data: dict[str, object] = {SPACE_GROUP: specs.space_group.cpu().numpy(), FORMULA: specs.formulas()}
    data |= zip(LENGTH_COLUMNS, specs.lengths.cpu().numpy().T, strict=True)
    data |= zip(ANGLE_COLUMNS, specs.angles.cpu().numpy().T, strict=True)
    data[VOLUME] = specs.volume_per_atom.cpu().numpy()
    if specs.sites.shape[2]:
        columns = {LETTERS: sites_to_text(specs), **columns}
    for name in (*RESULT_COLUMNS, *columns):
        values = columns.get(name, np.full(len(specs), np.nan))
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if array.shape != (len(specs),):
            raise DataError(
                f"column {name} has shape {array.shape}: needs one value for each of {len(specs)} specs"
            )
        data[name] = array
    return pd.DataFrame(data)


def frame_to_specs(frame: pd.DataFrame, device: torch.device | str = "cpu") -> CrystalSpec:
    """The specs of a frame; ``volume_per_atom`` and result columns are not needed and not read.

    Args:
        frame: a frame with :data:`REQUIRED_COLUMNS`; space groups by ITA number or Hermann-Mauguin symbol.
        device: device of the tensors.

    Returns:
        One spec a row, in order.

    Raises:
        DataError: a column is missing, or a row has a value that no crystal has, with its name and row.
    """
    check_columns(frame)
    frame = _with_numbers(frame)
    space_group = _numbers(
        frame, SPACE_GROUP, lambda x: (x >= 1) & (x <= 230) & (x == np.round(x)), "1 to 230"
    )
    lengths = [_numbers(frame, name, lambda x: x > 0, "a length above 0 Å") for name in LENGTH_COLUMNS]
    angles = [
        _numbers(frame, name, lambda x: (x > 0) & (x < 180), "an angle between 0 and 180 degrees")
        for name in ANGLE_COLUMNS
    ]
    groups = torch.from_numpy(space_group.astype(np.int64))
    composition = text_to_composition(frame[FORMULA].tolist())
    specs = CrystalSpec(
        groups,
        composition,
        torch.from_numpy(np.stack(lengths, axis=1)),
        torch.from_numpy(np.stack(angles, axis=1)),
        _sites(frame, groups, composition),
    )
    for row, reason in enumerate(check_parameters(torch.cat([specs.lengths, specs.angles], dim=1))):
        if reason:
            raise DataError(f"columns a to gamma, row {row}: {reason}")
    return specs.to(device)


def _sites(frame: pd.DataFrame, space_group: Tensor, composition: Tensor) -> Tensor:
    """Positions that the column of letters prescribes."""
    column = frame[LETTERS] if LETTERS in frame.columns else pd.Series([""] * len(frame))
    try:
        return text_to_sites(column.fillna("").astype(str).tolist(), space_group, composition)
    except DataError as error:
        raise DataError(f"column {LETTERS}, {error}") from error


def check_columns(frame: pd.DataFrame) -> None:
    """Check that a frame has all columns of a spec.

    Raises:
        DataError: naming the columns that are missing.
    """
    if twice := [name for name in REQUIRED_COLUMNS if list(frame.columns).count(name) > 1]:
        raise DataError(f"several columns {', '.join(twice)}: specs need one of each")
    missing = [name for name in REQUIRED_COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(
            f"no column {', '.join(missing)}: specs need the columns {', '.join(REQUIRED_COLUMNS)}"
        )


def write_specs(path: Path | str, frame: pd.DataFrame) -> None:
    """Write a frame of specs, atomically; every float64 is read back bit for bit.

    Args:
        path: a file ending in ``.parquet`` or ``.csv``.
        frame: frame as from :func:`specs_to_frame`.

    Raises:
        DataError: another suffix, a missing column, or a folder that cannot be written.
    """
    suffix = _suffix(path)
    check_columns(frame)
    with atomic_path(path) as temporary:
        if suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False)


def read_specs(path: Path | str) -> pd.DataFrame:
    """Read a spec file; :func:`frame_to_specs` turns the frame into tensors.

    Args:
        path: a file ending in ``.parquet`` or ``.csv``.

    Raises:
        DataError: the file is missing, unreadable or lacks a column.
    """
    suffix = _suffix(path)
    frame = read_parquet(Path(path)) if suffix == ".parquet" else read_csv(Path(path), equal_lines=True)
    try:
        check_columns(frame)
        return _with_numbers(frame)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _numbers(
    frame: pd.DataFrame, name: str, allowed: Callable[[NDArray[np.float64]], NDArray[np.bool_]], needs: str
) -> NDArray[np.float64]:
    values: NDArray[np.float64] = pd.to_numeric(frame[name], errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    wrong = ~(np.isfinite(values) & allowed(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"column {name}, row {row}: {frame[name].iloc[row]} is not {needs}")
    return values


def _with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with ITA numbers where its column of space groups has Hermann-Mauguin symbols."""
    column = frame[SPACE_GROUP]
    # each symbol of a file is looked up once
    named = {value for value in column if isinstance(value, str) and not _is_number(value)}
    if not named:
        return frame
    numbers: dict[str, int] = {}
    for symbol in named:
        try:
            numbers[symbol] = check_space_group(symbol)
        except ConfigError as error:
            row = next(n for n, value in enumerate(column) if isinstance(value, str) and value == symbol)
            raise DataError(f"column space_group, row {row}: {error}") from error
    return frame.assign(
        space_group=[numbers.get(value, value) if isinstance(value, str) else value for value in column]
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _suffix(path: Path | str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise DataError(f"spec file {path} ends in {suffix or 'nothing'}: use .parquet or .csv")
    return suffix
