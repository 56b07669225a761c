"""Known crystals as terminal states of a crystal environment, split by reduced formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import in_holdout, is_validation, reduced_formulas, true_cells
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.proxies.hull import MAX_ELEMENTS
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec_io import frame_to_specs


@dataclass(frozen=True)
class KnownCrystals:
    """Crystals that lie in the space of an environment.

    Attributes:
        terminal: their terminal states, n rows.
        further: (n,) bool; the crystal is one of those that a training turns away from.
        n_read: crystals before those outside the space were left out.
    """

    terminal: Context
    further: Tensor
    n_read: int

    @property
    def own(self) -> Context:
        """Terminal states of the crystals whose distribution is learned: all but the further ones."""
        return self.terminal[(~self.further).nonzero().squeeze(1)]


@dataclass(frozen=True)
class PriorSplits:
    """Crystals to learn from and to validate on, which share no reduced formula.

    Attributes:
        train: training data.
        validation: MP-20's val, or the held-out formulas where there is none.
    """

    train: KnownCrystals
    validation: KnownCrystals


def split_known(
    table: pd.DataFrame,
    further: pd.DataFrame | None,
    env: Crystal,
    limit: float | None,
    holdout: float = 0.0,
    seed: int = 0,
) -> PriorSplits:
    """Crystals of prepared tables, by split.

    Args:
        table: prepared crystals whose distribution is learned.
        further: prepared crystals that are learned from in the beginning only, or None.
        env: the space.
        limit: largest distance of training crystals above the hull of all labels in the tables, eV/atom; None for all.
        holdout: share of reduced formulas held out in addition to MP-20's val.
        seed: random seed of the choice of formulas.

    Raises:
        DataError: nothing is left to learn from or to validate on.
    """
    tables = [table] if further is None else [table, further]
    joined = pd.concat(tables, ignore_index=True)
    is_further = np.arange(len(joined)) >= len(table)
    whole = true_cells(joined)
    formula = reduced_formulas(joined)
    held = in_holdout(formula, holdout, seed)
    validation = whole & is_validation(joined) & ~is_further
    if not validation.any():
        validation = whole & held & ~is_further
    train = whole & ~held & ~np.isin(formula, np.unique(formula[validation]))
    if limit is not None:
        train &= distance_above_hull(joined) <= limit
    if not train.any() or not validation.any():
        raise DataError(
            f"{int(train.sum())} crystals to learn from and {int(validation.sum())} to validate on; give more data, a "
            "greater limit or holdout, or rows with mp20_split val"
        )
    return PriorSplits(
        _encoded(joined[train], is_further[train], env, "learn from"),
        _encoded(joined[validation], is_further[validation], env, "validate on"),
    )


def distance_above_hull(table: pd.DataFrame) -> NDArray[np.float64]:
    """Distance (n,) of each crystal above the hull of all labels in the table, eV/atom; NaN without a label."""
    energy = pd.to_numeric(table[ENERGY_COLUMN], errors="coerce").to_numpy(dtype=np.float64)
    composition = text_to_composition(table[FORMULA].tolist())
    known = torch.from_numpy(np.isfinite(energy)) & ((composition > 0).sum(1) <= MAX_ELEMENTS)
    distance = np.full(len(table), np.nan)
    if bool(known.any()):
        labels = torch.from_numpy(energy.copy())[known]
        hull = ReferenceHull(composition[known], labels).stable()
        distance[known.numpy()] = (labels - hull.hull_energy(composition[known])).numpy()
    return distance


def _encoded(table: pd.DataFrame, further: NDArray[np.bool_], env: Crystal, purpose: str) -> KnownCrystals:
    terminal, inside = env.encode(frame_to_specs(table.reset_index(drop=True)))
    if terminal.n == 0:
        raise DataError(
            f"none of {len(table)} crystals to {purpose} lies in the space: widen env (elements, space groups, ranges)"
        )
    return KnownCrystals(terminal, torch.from_numpy(further)[inside], len(table))
