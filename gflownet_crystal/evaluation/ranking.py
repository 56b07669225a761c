"""Which specs of a table are the best: ordered by energy above hull or reward, without duplicates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import log1p

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.space_groups import first_hand_of_group
from gflownet_crystal.structures.spec_io import frame_to_specs

HULL_COLUMN = "e_above_hull"
"""Estimated energy above the convex hull, eV/atom; NaN where unknown."""


@dataclass(frozen=True)
class Selection:
    """What counts as a duplicate, and how many crystals of a formula are wanted.

    Attributes:
        volume_tolerance: crystals of one reduced formula and group are duplicates if their volumes per atom differ
            by less than this, relative.
        max_per_formula: most crystals of one reduced formula, None for any number.
        by_reward: whether the reward decides which is better, and not the estimated energy above hull.
    """

    volume_tolerance: float = 0.03
    max_per_formula: int | None = None
    by_reward: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a negative tolerance, or no crystal of a formula allowed.
        """
        fit_fields(self)
        if not self.volume_tolerance >= 0:
            raise ConfigError(f"volume_tolerance={self.volume_tolerance} must not be negative")
        if self.max_per_formula is not None and self.max_per_formula < 1:
            raise ConfigError(
                f"max_per_formula={self.max_per_formula} must be at least 1, or null for no limit"
            )


def rank_rows(frame: pd.DataFrame, by_reward: bool = False) -> NDArray[np.int64]:
    """Row positions from best to worst.

    By rising energy above hull, rows without one last; among those, and among equals, by falling log_reward. By reward
    alone, equals stay in their order: the least energy among them is the greatest error of a proxy.

    Args:
        frame: with the columns ``e_above_hull`` and ``log_reward``, either of which may be NaN.
        by_reward: take the reward alone.
    """
    reward = frame["log_reward"].to_numpy(dtype=np.float64)
    if by_reward:
        return np.argsort(-reward, kind="stable")
    above = frame[HULL_COLUMN].to_numpy(dtype=np.float64)
    # lexsort puts NaN last, as the last key counts first
    return np.lexsort((-reward, above))


def distinct_rows(frame: pd.DataFrame, selection: Selection) -> Iterator[int]:
    """Row positions from best to worst, each unlike all before it.

    Args:
        frame: columns of a spec file and ``e_above_hull``; see :func:`rank_rows`.
        selection: what is a duplicate.

    Yields:
        The best row of each crystal.

    Raises:
        DataError: a row is not a spec.
    """
    specs = frame_to_specs(frame)
    formulas = specs.reduced_formulas()
    # mirror images are one crystal
    groups = first_hand_of_group[specs.space_group.numpy()].tolist()
    log_volumes = specs.volume_per_atom.log().tolist()
    width = log1p(selection.volume_tolerance)
    limit = len(frame) if selection.max_per_formula is None else selection.max_per_formula
    taken: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    n_of_formula: Counter[str] = Counter()
    for row in rank_rows(frame, selection.by_reward).tolist():
        alike = taken[formulas[row], groups[row]]
        if n_of_formula[formulas[row]] < limit and all(
            abs(log_volumes[row] - other) > width for other in alike
        ):
            alike.append(log_volumes[row])
            n_of_formula[formulas[row]] += 1
            yield row
