"""One layout of composition features and actions for every vocabulary: all elements, counts up to a common largest.

A trained policy has a column for each element from H to Pu; an environment uses those of its own elements. So one
policy serves every set of elements, and the columns that an environment does not use cost it nothing.
"""

from __future__ import annotations

from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gflownet_crystal.envs.layouts import Descriptors, StageLayout
from gflownet_crystal.structures.element_properties import element_properties, periods_and_groups

LAYOUT_ELEMENTS = 94
"""Elements of the layout, H to Pu, by atomic number."""

LAYOUT_COUNTS = 24
"""Largest number of atoms of one element in the layout; environments with larger ones have a layout of their own."""


def composition_layout(atomic_numbers: Tensor, n_counts: int, most_counts: int) -> StageLayout:
    """Places of the columns and actions of a composition stage.

    Args:
        atomic_numbers: (E,) int64 of the vocabulary, 1 to 94.
        n_counts: largest count that an action adds, K.
        most_counts: largest number of counts of the layout.
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
        describe=partial(_describe, most_counts),
    )


_SPECIAL_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Counts that have a descriptor of their own: multiplicities of many Wyckoff positions."""


@cache
def _describe(most_counts: int) -> Descriptors:
    """Descriptors of all columns and actions, made of those of their elements."""
    element = _element_descriptors()
    n_digits = most_counts.bit_length()
    # each part of the features describes its elements by columns of its own
    digits = torch.einsum("ep,dc->edcp", element, torch.eye(n_digits)).reshape(
        -1, n_digits * element.shape[1]
    )
    features = torch.block_diag(element, element, element, digits, torch.zeros(3, 0))
    summary = torch.block_diag(element, element, torch.zeros(2, 0))
    counts = torch.arange(1, most_counts + 1)
    of_counts = [
        torch.ones(most_counts),
        counts.log() / 2.0,
        *((counts == k).float() for k in _SPECIAL_COUNTS),
    ]
    adding = torch.einsum("ep,kb->ekpb", element, torch.stack(of_counts, dim=1)).flatten(0, 1).flatten(1)
    return Descriptors(features, summary, torch.block_diag(adding, torch.zeros(1, 0)))


def _element_descriptors() -> Tensor:
    """(94, p) float32: standardised properties, period, group and a constant; rows of a length of about 1."""
    period, group = periods_and_groups()[:, 1 : LAYOUT_ELEMENTS + 1]
    parts = [
        element_properties()[1 : LAYOUT_ELEMENTS + 1],
        1.5 * one_hot(period, 8)[:, 1:].float(),
        1.5 * one_hot(group, 19)[:, 1:].float(),
        torch.ones(LAYOUT_ELEMENTS, 1),
    ]
    return torch.cat(parts, dim=1) / 7.0
