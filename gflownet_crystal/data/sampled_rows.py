"""Rows of prepared tables that are no known crystals: specs of a sampler, and substituted crystals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.data.schema import SAMPLED, SUBSTITUTED


def is_sampled(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (n,) of a prepared table that are specs of a sampler."""
    return _is_from(table, SAMPLED)


def is_substituted(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (n,) of a prepared table that are known crystals with exchanged elements."""
    return _is_from(table, SUBSTITUTED)


def only_sampled(table: pd.DataFrame) -> pd.DataFrame:
    """Specs of a sampler in a prepared table."""
    return table[is_sampled(table)].reset_index(drop=True)


def without_sampled(table: pd.DataFrame) -> pd.DataFrame:
    """Known and substituted crystals of a prepared table."""
    return table[~is_sampled(table)].reset_index(drop=True)


def only_known(table: pd.DataFrame) -> pd.DataFrame:
    """Known crystals of a prepared table."""
    return table[~is_sampled(table) & ~is_substituted(table)].reset_index(drop=True)


def _is_from(table: pd.DataFrame, source: str) -> NDArray[np.bool_]:
    if "structure_source" not in table.columns:
        return np.zeros(len(table), dtype=np.bool_)
    return np.asarray(table["structure_source"].to_numpy() == source)
