"""One layout of composition features and actions for every vocabulary: all elements, counts up to a common largest.

A trained policy has a column for each element from H to Pu; an environment uses those of its own elements. So one
policy serves every set of elements, and the columns that an environment does not use cost it nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.envs.base import StageLayout

LAYOUT_ELEMENTS = 94
"""Elements of the layout, H to Pu, by atomic number."""

LAYOUT_COUNTS = 24
"""Largest number of atoms of one element in the layout; environments with larger ones have a layout of their own."""


def composition_layout(atomic_numbers: Tensor, n_counts: int, most_counts: int) -> StageLayout:
    """Places of the columns and actions of a composition stage.

    Args:
        atomic_numbers: (E,) int64 of the vocabulary, 1 to 94.
        n_counts: largest count that an action adds, K.
        most_counts: of the layout.
    """
    element = atomic_numbers - 1
    n_digits = most_counts.bit_length()
    n_element_columns = (3 + n_digits) * LAYOUT_ELEMENTS
    single = [LAYOUT_ELEMENTS * part + element for part in range(3)]
    digits = 3 * LAYOUT_ELEMENTS + (element[:, None] * n_digits + torch.arange(n_digits)).flatten()
    summary = torch.cat([element, LAYOUT_ELEMENTS + element, 2 * LAYOUT_ELEMENTS + torch.arange(2)])
    adding = (element[:, None] * most_counts + torch.arange(n_counts)).flatten()
    return StageLayout(
        n_features=n_element_columns + 3,
        n_summary=2 * LAYOUT_ELEMENTS + 2,
        n_forward=LAYOUT_ELEMENTS * most_counts + 1,
        n_backward=LAYOUT_ELEMENTS + 1,
        features=torch.cat([*single, digits, n_element_columns + torch.arange(3)]),
        summary=summary,
        forward=torch.cat([adding, torch.tensor([LAYOUT_ELEMENTS * most_counts])]),
        backward=torch.cat([element, torch.tensor([LAYOUT_ELEMENTS])]),
    )
