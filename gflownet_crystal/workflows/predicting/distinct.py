"""Distinct structures of a ranked list."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.evaluation.parallel import Work, to_crystals
from gflownet_crystal.evaluation.uniqueness import first_match, unique
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.candidates.screening_batches import SAME


def first_of_each(structures: StructureBatch, order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The first n rows of a ranking that differ from all rows before them.

    Args:
        structures: the structures.
        order: (m,) their rows, the best first.
        n: number of rows to find; fewer are found where fewer differ.
    """
    kept: NDArray[np.int64] = order[:0]
    # equals are near each other in energy: few comparisons show n distinct ones
    for start in range(0, len(order), 2 * n):
        head = np.concatenate([kept, order[start : start + 2 * n]])
        ordered = structures[torch.from_numpy(head)]
        names = ordered.specs().formulas()
        kept = head[unique(first_match(to_crystals(ordered), names, SAME, Work())).numpy()]
        if len(kept) >= n:
            break
    return kept[:n]
