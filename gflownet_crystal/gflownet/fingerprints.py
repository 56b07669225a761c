"""Hashes of rows of states, and the rows that differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch

# odd 64-bit constants: the golden ratio's fraction, and the multiplier of the splitmix64 finaliser
_STEP = -7046029254386353131
_MIX = -4658895280553007687


def distinct_rows(states: Sequence[TensorBatch]) -> tuple[Tensor, Tensor]:
    """Rows without repeats.

    Args:
        states: batches of n rows that belong together.

    Returns:
        (m,) int64 rows that all differ, and the (n,) int64 place of each row's equal among them.
    """
    values, place = torch.unique(fingerprints(states), return_inverse=True)
    rows = torch.arange(len(place), device=place.device)
    return torch.empty_like(values).scatter_(0, place, rows), place


def fingerprints(states: Sequence[TensorBatch]) -> Tensor:
    """(n,) int64 hash of each row over all fields of all states; equal rows have equal hashes, on any device."""
    columns = [_as_integers(column) for state in states for column in state.to_dict().values()]
    result = torch.zeros(len(columns[0]), dtype=torch.int64, device=columns[0].device)
    for column in columns:
        places = torch.arange(1, column.shape[1] + 1, device=column.device) * _STEP
        # each entry is mixed with its place before the sum, so that permuted rows differ
        mixed = (column ^ places) * _MIX
        mixed = (mixed ^ (mixed >> 31)) * _STEP
        result = ((result ^ (result >> 29)) * _MIX) + mixed.sum(dim=1)
    return result


def _as_integers(column: Tensor) -> Tensor:
    flat = column.flatten(1) if column.dim() > 1 else column.unsqueeze(1)
    if flat.dtype.is_floating_point:
        # adding zero turns -0.0 into 0.0
        return (flat.double() + 0.0).contiguous().view(torch.int64)
    return flat.long()
