"""Checks of columns: which rows are specs, without a warning for values that no crystal has."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.rows import table_to_rows
from gflownet_crystal.data.table_checks import formula_faults, spec_faults
from gflownet_crystal.evaluation.structure_sets import StructureSet
from gflownet_crystal.structures.frames import frame_to_structures
from tests.data.crystals import stored_frame

GROUPS = [np.inf, -np.inf, np.nan, 1e308, 2.0**62, 0.0, 231.0, 2.5]


def test_numbers_that_are_no_space_groups_are_told_and_warn_of_nothing() -> None:
    groups = pd.Series([225.0, *GROUPS])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        faults = spec_faults(pd.Series(["Na4 Cl4"] * len(groups)), groups)
    assert faults == ["", *["a space group that is not 1 to 230"] * len(GROUPS)]


@pytest.mark.parametrize("value", GROUPS)
def test_a_set_claims_no_group_that_there_is_not(value: float) -> None:
    frame = stored_frame().assign(space_group=225.0)
    frame.loc[1, "space_group"] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        claimed = StructureSet.of_rows(table_to_rows(frame)).claimed.tolist()
    assert claimed[1] == 0 and claimed[0] == 225


@pytest.mark.parametrize("value", [np.inf, np.nan, 11.5])
def test_atomic_numbers_that_are_not_whole_are_refused(value: float) -> None:
    frame = stored_frame()
    numbers = np.array(frame["atomic_numbers"][2], dtype=float)
    numbers[0] = value
    frame.at[2, "atomic_numbers"] = numbers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="not whole"):
            frame_to_structures(frame)


def test_formulas_of_any_type_are_told() -> None:
    values = ["Na4 Cl4", None, 3.0, ["Na"], np.array(["Na", "Cl"]), {"Na": 1}, "Xx"]
    faults = formula_faults(pd.Series(values, dtype=object))
    assert [fault == "" for fault in faults] == [True] + [False] * 6
