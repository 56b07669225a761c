"""Tabulated properties of the elements, as inputs of networks: rare elements then resemble their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.structures.elements import COVALENT_RADII, ELECTRONEGATIVITY, N_ATOMIC_NUMBERS

_NOBLE_GASES = np.array([0, 2, 10, 18, 36, 54, 86, 118])
_N_PERIODS, _N_GROUPS = 7, 18
N_ELEMENT_FEATURES = _N_PERIODS + _N_GROUPS + 4
"""Columns of :func:`element_features`."""


def periods_and_groups() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Place of each element in the periodic table.

    Returns:
        Period (1 to 7), group (1 to 18; 3 for the f block) and electrons in the open f shell (0 outside the f block),
        each (119,) int64 by atomic number, with zeros for number 0.
    """
    number = np.arange(1, N_ATOMIC_NUMBERS)
    period = np.searchsorted(_NOBLE_GASES, number)
    column = number - _NOBLE_GASES[period - 1]
    from_right = column - (_NOBLE_GASES[period] - _NOBLE_GASES[period - 1]) + _N_GROUPS
    # helium is a noble gas; in long periods the columns 3 to 16 are the f block
    f_block = (period >= 6) & (column > 2) & (from_right < 3)
    group = np.where((column <= 2) & (number != 2), column, np.maximum(from_right, 3))
    tables = (period, group, np.where(f_block, column - 2, 0))
    period, group, f_electrons = (np.concatenate([[0], table]).astype(np.int64) for table in tables)
    return period, group, f_electrons


def element_features() -> Tensor:
    """Features by atomic number.

    Returns:
        (119, 29) float32: one column a period and a group, filling of the f shell (0 to 1), electronegativity
        (standardised; 0 where unknown), whether it is known, and covalent radius (standardised). Row 0 is zero.
    """
    period, group, f_electrons = periods_and_groups()
    known = np.isfinite(ELECTRONEGATIVITY)
    columns = [
        period[:, None] == np.arange(1, _N_PERIODS + 1),
        group[:, None] == np.arange(1, _N_GROUPS + 1),
        f_electrons[:, None] / 14.0,
        np.nan_to_num(_standardised(ELECTRONEGATIVITY))[:, None],
        known[:, None],
        np.nan_to_num(_standardised(COVALENT_RADII))[:, None],
    ]
    return torch.from_numpy(np.concatenate(columns, axis=1)).float()


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - np.nanmean(values)) / np.nanstd(values)
