"""Descriptors of the space groups: groups with similar positions and symmetry have similar ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.crystallography.space_groups import CRYSTAL_CLASSES, N_SPACE_GROUPS, space_group_symbol
from gflownet_crystal.crystallography.wyckoff import wyckoff_table

_MULTIPLICITIES = (1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 36, 48)


@cache
def group_descriptors() -> Tensor:
    """(230, q) float32: positions by multiplicity, lattice points of the cell, order, crystal class, centring.

    Positions with and without free coordinates are counted apart; rows have a length of about 1.
    """
    table = wyckoff_table()
    rows = []
    for group in range(1, N_SPACE_GROUPS + 1):
        own = table.group == group
        fixed = own & (table.degrees_of_freedom == 0)
        counts = [
            np.sum(part & (table.multiplicity == m))
            for part in (fixed, own & ~fixed)
            for m in _MULTIPLICITIES
        ]
        general = int(table.multiplicity[own][0])
        least = int(table.multiplicity[own].min())
        rows.append([*np.log1p(counts), *(np.array(counts) > 0), np.log(general) / 2.0, np.log(least), 1.0])
    numeric = torch.tensor(np.array(rows), dtype=torch.float32)
    return torch.cat([numeric, 1.5 * _classes(), 1.5 * _centrings()], dim=1) / 5.0


def _classes() -> Tensor:
    last = torch.tensor([crystal_class.last for crystal_class in CRYSTAL_CLASSES])
    number = torch.searchsorted(last, torch.arange(1, N_SPACE_GROUPS + 1))
    return torch.nn.functional.one_hot(number, len(CRYSTAL_CLASSES)).float()


def _centrings() -> Tensor:
    letters = [space_group_symbol(group)[0] for group in range(1, N_SPACE_GROUPS + 1)]
    return torch.tensor([[letter == one for one in "PACFIR"] for letter in letters]).float()
