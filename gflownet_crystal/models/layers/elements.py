"""Tabulated properties of the elements, as inputs of networks: rare elements then resemble their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.structures.element_properties import periods_and_groups
from gflownet_crystal.structures.elements import COVALENT_RADII, ELECTRONEGATIVITY, N_ATOMIC_NUMBERS

_F_SHELLS = {57: 71, 89: 103}
_N_PERIODS, _N_GROUPS = 7, 18
N_ELEMENT_FEATURES = _N_PERIODS + _N_GROUPS + 4
"""Columns of :func:`element_features`."""


def element_features() -> Tensor:
    """Features by atomic number.

    Returns:
        (119, 29) float32: one column a period and a group, filling of the f shell (0 to 1), electronegativity
        (standardised; 0 where unknown), whether it is known, and covalent radius (standardised). Row 0 is zero.
    """
    period, group = periods_and_groups().numpy()
    f_electrons = np.zeros(N_ATOMIC_NUMBERS)
    for first, end in _F_SHELLS.items():
        f_electrons[first:end] = np.arange(1, end - first + 1)
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
