"""Columns of several objectives in tables of samples and candidates, and the ranks that follow from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import (
    ENERGY,
    ENERGY_BEFORE,
    HULL_COLUMN,
    JUDGED_HULL,
    PARETO_RANK,
    TERM_PREFIX,
    WITHIN_LIMITS,
)
from gflownet_crystal.evaluation.pareto import pareto_ranks
from gflownet_crystal.proxies.product import STABILITY

_MOST_RANKED = 50_000
"""Rows of a table whose ranks are found: their number of pairs sets the time, 5 s for so many."""
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


def fronts(frame: pd.DataFrame) -> NDArray[np.int64] | None:
    """The front of each row by non-dominated sorting, (n,) from 1; None for fewer than two objectives.

    Objectives are the parts of log R; where energies above the hull with atoms are known, these stand for the stability,
    and nothing is gained below the hull.

    Args:
        frame: columns ``log_reward_NAME``, and maybe ``e_above_hull_judged``.
    """
    names = term_columns(frame)
    if not names:
        return None
    costs = [-frame[name].to_numpy(dtype=np.float64) for name in names]
    if JUDGED_HULL in frame.columns and frame[JUDGED_HULL].notna().any():
        costs = [cost for name, cost in zip(names, costs, strict=True) if name != f"{TERM_PREFIX}{STABILITY}"]
        costs.append(np.maximum(frame[JUDGED_HULL].to_numpy(dtype=np.float64), 0.0))
    return pareto_ranks(np.stack(costs, axis=1)) if len(costs) > 1 else None


def with_fronts(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with the column ``pareto_rank``, where it has several objectives and at most 50,000 rows."""
    found = fronts(frame) if len(frame) <= _MOST_RANKED else None
    return frame if found is None else frame.assign(**{PARETO_RANK: found})


def shares(frame: pd.DataFrame, near: float) -> dict[str, float]:
    """Share of samples that are near the hull by the main proxy, within all limits, and both, where that is known.

    Args:
        frame: table of samples.
        near: eV/atom above the hull up to which a crystal counts as near it.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    if HULL_COLUMN in frame.columns:
        found["near_hull"] = (frame[HULL_COLUMN] <= near).to_numpy(dtype=bool)
    if WITHIN_LIMITS in frame.columns:
        found[WITHIN_LIMITS] = frame[WITHIN_LIMITS].eq(True).to_numpy(dtype=bool)
    if len(found) == 2:
        found["both"] = np.stack(list(found.values())).all(axis=0)
    return {name: round(float(column.mean()), 4) for name, column in found.items()}
