"""Checks of tables that hold more or less than stored crystals: specs, formulas, strained cells, crowded atoms."""

from __future__ import annotations

from collections.abc import Collection, Set
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.readers import readable
from gflownet_crystal.data.rows import REASON, frame_to_oriented, parse_lattices
from gflownet_crystal.data.schema import LATTICE_COLUMNS, STRAIN_COLUMNS, require_columns
from gflownet_crystal.structures.checks import CLOSEST, check_parameters
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.periodic_pairs import usable


def mark_crowded(frame: pd.DataFrame, closest: float = CLOSEST) -> pd.DataFrame:
    """Checked rows, those with atoms closer than ``closest`` Å marked with this reason."""
    good = np.flatnonzero((frame[REASON] == "").to_numpy())
    if not len(good):
        return frame
    apart = usable(frame_to_oriented(frame.iloc[good]), closest).numpy()
    reasons = frame[REASON].to_numpy(dtype=object).copy()
    reasons[good[~apart]] = f"atoms closer than {closest:g} Å"
    return frame.assign(**{REASON: reasons})


def formula_faults(formulas: pd.Series) -> list[str]:
    """Why texts are no formulas, n reasons; empty for those that are."""
    # some values other than text cannot be compared
    texts = dict.fromkeys(text for text in formulas if isinstance(text, str))
    faults = {text: _formula_fault(text) for text in texts}
    return [faults[text] if isinstance(text, str) else _formula_fault(text) for text in formulas]


def spec_faults(formulas: pd.Series, groups: pd.Series) -> list[str]:
    """Why rows have no formula or no number of a space group, n reasons; empty for those that have both."""
    numbers = pd.to_numeric(groups, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    known = (numbers >= 1) & (numbers <= N_SPACE_GROUPS) & (numbers == np.round(numbers))
    other = f"a space group that is not 1 to {N_SPACE_GROUPS}"
    return [
        fault or ("" if is_known else other)
        for fault, is_known in zip(formula_faults(formulas), known, strict=True)
    ]


def check_prepared(
    frame: pd.DataFrame, origin: Path, left_out: LeftOut | None, labels: Collection[str] = ()
) -> pd.DataFrame:
    """The rows of a prepared table that are specs, or formulas without a lattice.

    Args:
        frame: the columns of PREPARED_COLUMNS.
        origin: named in errors.
        left_out: collector of names and reasons of the others; None raises at the first.
        labels: further columns that hold numbers.

    Raises:
        DataError: none is, or, without ``left_out``, not all are.
    """
    reasons = spec_faults(frame[FORMULA], frame[SPACE_GROUP])
    lattice = frame[list(LATTICE_COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    empty = frame[list(LATTICE_COLUMNS)].isna().to_numpy().all(1)
    faults = check_parameters(torch.from_numpy(lattice.copy()))
    reasons = [
        reason or ("" if is_empty else fault)
        for reason, is_empty, fault in zip(reasons, empty, faults, strict=True)
    ]
    checked = readable(frame.assign(**{REASON: reasons}), origin, left_out, labels)
    checked = checked.drop(columns=REASON)
    columns = {name: checked[name].astype(np.float64) for name in LATTICE_COLUMNS}
    strain = checked["strain"].fillna("").astype(str)
    return checked.assign(**columns, space_group=checked[SPACE_GROUP].astype(np.int64), strain=strain)


def check_strained(
    strained: pd.DataFrame, known: Set[str] | None, origin: Path | str, left_out: LeftOut | None
) -> pd.DataFrame:
    """The rows of a strained-energies file that are cells of known crystals.

    Args:
        strained: columns of STRAIN_COLUMNS.
        known: names of all crystals; None if cells of others do no harm.
        origin: named in errors.
        left_out: collector of names and reasons of invalid cells, and of crystals left out before; None raises
            an error at the first.

    Returns:
        Rows with ``lattice`` as (6,) arrays.

    Raises:
        DataError: a column is missing, a crystal is unknown, or, without ``left_out``, a cell is invalid.
    """
    require_columns(strained, STRAIN_COLUMNS, origin)
    names = strained["material_id"].astype(str)
    unknown = ~names.isin(known) if known is not None else names.isna()
    gone = names.isin(left_out.names()) if left_out is not None else unknown & False
    if (unknown & ~gone).any():
        raise DataError(
            f"{origin} has strained copies of crystals that are in no source, such as {names[unknown & ~gone].iloc[0]}"
        )
    strained, names = strained[~unknown], names[~unknown]
    if strained.empty:
        return strained
    lattices, reasons = parse_lattices(strained["lattice"])
    frame = strained.assign(lattice=list(lattices), material_id=names, **{REASON: reasons})
    return readable(frame, origin, left_out).drop(columns=REASON)


def _formula_fault(text: object) -> str:
    if not isinstance(text, str):
        return "a formula that is no text"
    try:
        composition = text_to_composition([text])
    except DataError as error:
        return f"no formula: {error}"
    return "" if int(composition.sum()) > 0 else "an empty formula"
