"""Ranks of samples and candidates by several objectives, and the shares that meet them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.objective_columns import term_columns
from gflownet_crystal.common.run_schema import (
    HULL_COLUMN,
    JUDGED_HULL,
    PARETO_RANK,
    TERM_PREFIX,
    WITHIN_LIMITS,
)
from gflownet_crystal.evaluation.pareto import pareto_ranks
from gflownet_crystal.proxies.product import STABILITY

NEAR = 0.05
"""eV/atom above the hull up to which a sample counts as stable, as ``screening.within`` has it."""
MOST_RANKED = 50_000
"""Rows of a table whose ranks are found: their number of pairs sets the time, 5 s for so many."""


def fronts(frame: pd.DataFrame) -> NDArray[np.int64] | None:
    """The front of each row by non-dominated sorting, (n,) from 1; None for fewer than two objectives.

    Objectives are the parts of log R. Energies above the hull with atoms stand for the stability where they are known;
    nothing is gained below the hull.

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
    found = fronts(frame) if len(frame) <= MOST_RANKED else None
    return frame if found is None else frame.assign(**{PARETO_RANK: found})


def shares(frame: pd.DataFrame, near: float = NEAR) -> dict[str, float]:
    """Share of samples that are stable by the main proxy, within all limits, and both, where that is known.

    Args:
        frame: table of samples.
        near: eV/atom above the hull up to which a crystal counts as stable.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    if HULL_COLUMN in frame.columns:
        found["stable"] = (frame[HULL_COLUMN] <= near).to_numpy(dtype=bool)
    if WITHIN_LIMITS in frame.columns:
        found[WITHIN_LIMITS] = frame[WITHIN_LIMITS].eq(True).to_numpy(dtype=bool)
    if len(found) == 2:
        found["both"] = found["stable"] & found[WITHIN_LIMITS]
    return {name: round(float(column.mean()), 4) for name, column in found.items()}
