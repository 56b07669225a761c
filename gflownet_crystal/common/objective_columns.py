"""Columns of several objectives in tables of samples and candidates."""

from __future__ import annotations

import pandas as pd

from gflownet_crystal.common.run_schema import ENERGY, ENERGY_BEFORE, PARETO_RANK, TERM_PREFIX, WITHIN_LIMITS

_STD = "_std"


def term_columns(frame: pd.DataFrame) -> list[str]:
    """Columns of the parts of log R, one an objective; none in samples of a reward of one property."""
    return [str(name) for name in frame.columns if str(name).startswith(TERM_PREFIX)]


def property_columns(frame: pd.DataFrame) -> list[str]:
    """Columns of the properties that several proxies predict, without the main one's, which is ``energy``."""
    if not term_columns(frame):
        return []
    names = [str(name).removesuffix(_STD) for name in frame.columns if str(name).endswith(_STD)]
    return [name for name in names if name not in (ENERGY, ENERGY_BEFORE) and name in frame.columns]


def objective_columns(frame: pd.DataFrame) -> list[str]:
    """All columns of several objectives: values and standard deviations, parts of log R, limits, ranks."""
    pairs = [column for name in property_columns(frame) for column in (name, f"{name}{_STD}")]
    others = [name for name in (WITHIN_LIMITS, PARETO_RANK) if name in frame.columns]
    return [*pairs, *term_columns(frame), *others]
