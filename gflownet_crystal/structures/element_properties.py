"""Properties of the elements, standardised, by which networks transfer to rare elements; periods and groups."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.structures.elements import COVALENT_RADII, N_ATOMIC_NUMBERS, SYMBOLS

N_PROPERTIES = 22
_LAST = 103
_NOBLE_GASES = np.array([0, 2, 10, 18, 36, 54, 86, 118])
_N_GROUPS = 18
_TABULATED = (
    "X",
    "atomic_radius",
    "van_der_waals_radius",
    "mendeleev_no",
    "ionization_energy",
    "electron_affinity",
    "molar_volume",
    "melting_point",
    "thermal_conductivity",
)


def element_properties() -> Tensor:
    """Standardised properties by atomic number, from pymatgen's periodic table.

    Returns:
        (119, 22) float32: nine tabulated values (molar volume as its cube root), group, period, electrons in the
        outer s, p, d and f shells, block (one of four), lowest and highest common oxidation state, covalent radius.
        Each column has mean 0 and deviation 1 over the elements where it is known; unknown values are 0.
    """
    table = np.full((N_ATOMIC_NUMBERS, N_PROPERTIES), np.nan)
    with warnings.catch_warnings():
        # pymatgen warns of every value that its table lacks
        warnings.simplefilter("ignore")
        for number in range(1, _LAST + 1):
            table[number] = _properties_of(number)
    known = table[1 : _LAST + 1]
    return torch.from_numpy(np.nan_to_num((table - np.nanmean(known, 0)) / np.nanstd(known, 0))).float()


def periods_and_groups() -> Tensor:
    """Period (1 to 7) and group (1 to 18; 3 for the f block) of each element, (2, 119) int64; 0 for number 0."""
    number = np.arange(1, N_ATOMIC_NUMBERS)
    period = np.searchsorted(_NOBLE_GASES, number)
    column = number - _NOBLE_GASES[period - 1]
    from_right = column - (_NOBLE_GASES[period] - _NOBLE_GASES[period - 1]) + _N_GROUPS
    # helium is a noble gas; in long periods the columns 3 to 16 are the f block
    group = np.where((column <= 2) & (number != 2), column, np.maximum(from_right, 3))
    return torch.from_numpy(np.pad(np.stack([period, group]), ((0, 0), (1, 0))).astype(np.int64))


def _properties_of(number: int) -> list[float]:
    from pymatgen.core import Element

    element = Element(SYMBOLS[number])
    values = [_number(getattr(element, name, None)) for name in _TABULATED]
    values[_TABULATED.index("molar_volume")] **= 1 / 3
    outer = dict.fromkeys("spdf", 0.0)
    for shell in element.electronic_structure.split("."):
        if not shell.startswith("["):
            outer[shell[1]] += float(shell[2:])
    block = [float(element.block == name) for name in "spdf"]
    states = element.common_oxidation_states or element.oxidation_states or (0,)
    return [
        *values,
        float(element.group),
        float(element.row),
        *outer.values(),
        *block,
        float(min(states)),
        float(max(states)),
        float(COVALENT_RADII[number]),
    ]


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
