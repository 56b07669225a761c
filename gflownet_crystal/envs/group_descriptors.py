"""Descriptors of the space groups: groups with similar positions and symmetry have similar ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gflownet_crystal.crystallography.cells import CENTRINGS, centring_of_group
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_CLASSES,
    N_SPACE_GROUPS,
    crystal_class_of_group,
)
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
    classes = one_hot(torch.from_numpy(crystal_class_of_group[1:]), len(CRYSTAL_CLASSES))
    centrings = one_hot(centring_of_group[1:], len(CENTRINGS))
    return torch.cat([numeric, 1.5 * classes, 1.5 * centrings], dim=1) / 5.0
