"""Rows of prepared tables that are specs of a sampler, not known crystals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.data.schema import SAMPLED


def is_sampled(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (n,) of a prepared table that are specs of a sampler."""
    if "structure_source" not in table.columns:
        return np.zeros(len(table), dtype=np.bool_)
    return np.asarray(table["structure_source"].to_numpy() == SAMPLED)


def only_sampled(table: pd.DataFrame) -> pd.DataFrame:
    """Specs of a sampler in a prepared table."""
    return table[is_sampled(table)].reset_index(drop=True)


def without_sampled(table: pd.DataFrame) -> pd.DataFrame:
    """Known crystals of a prepared table."""
    return table[~is_sampled(table)].reset_index(drop=True)
