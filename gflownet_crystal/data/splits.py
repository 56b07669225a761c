"""Splits by reduced formula: no formula of a validation set may be trained on, whatever its space group."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.data.schema import LATTICE_COLUMNS
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition


def reduced_formulas(table: pd.DataFrame) -> NDArray[np.str_]:
    """Reduced formula of each row, (n,) text, from its ``formula`` column."""
    counts = reduce_composition(text_to_composition(table[FORMULA].tolist()))
    return np.array(composition_to_text(counts, separator="", write_one=False), dtype=np.str_)


def is_validation(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (n,) of MP-20's val."""
    if "mp20_split" not in table.columns:
        return np.zeros(len(table), dtype=np.bool_)
    return np.asarray(table["mp20_split"].to_numpy() == "val")


def true_cells(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (n,) that have a cell, and not a strained one."""
    return np.asarray((table["strain"] == "").to_numpy() & table[LATTICE_COLUMNS[0]].notna().to_numpy())


def without_formulas(table: pd.DataFrame, formulas: Iterable[str]) -> pd.DataFrame:
    """The rows of ``table`` whose reduced formula is not in ``formulas``."""
    banned = np.unique(np.array(list(formulas), dtype=np.str_))
    return table[~np.isin(reduced_formulas(table), banned)].reset_index(drop=True)


def split_by_formula(table: pd.DataFrame, share: float, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables that share no reduced formula.

    Args:
        table: prepared rows.
        share: share of formulas that go to the second table, in (0, 1).
        seed: random seed of the draw.
    """
    from sklearn.model_selection import GroupShuffleSplit

    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    first, second = next(splitter.split(table, groups=reduced_formulas(table)))
    return table.iloc[first].reset_index(drop=True), table.iloc[second].reset_index(drop=True)


def in_holdout(formulas: NDArray[np.str_], share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Whether each reduced formula belongs to a held-out share that is the same in every table.

    Args:
        formulas: (n,) reduced formulas.
        share: share of all formulas held out, in [0, 1).
        seed: random seed of the choice.
    """
    return np.asarray(formula_keys(formulas, seed) < share * 2.0**32)


def formula_keys(formulas: NDArray[np.str_], seed: int = 0) -> NDArray[np.int64]:
    """A number in [0, 2^32) of each formula, (n,), evenly spread and the same in every table."""
    distinct, inverse = np.unique(formulas, return_inverse=True)
    keys = np.array(
        [zlib.crc32(f"{seed}:{formula}".encode()) for formula in distinct.tolist()], dtype=np.int64
    )
    return keys[inverse]
