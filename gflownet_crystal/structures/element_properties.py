"""Physical properties of the elements, standardised: what lets the networks carry over to rare elements."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.structures.elements import COVALENT_RADII, N_ATOMIC_NUMBERS, SYMBOLS

N_PROPERTIES = 22
_LAST = 103
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
    """Period and group of each element, (2, 119) int64; 0 beyond lawrencium. The f block counts as group 3."""
    from pymatgen.core import Element

    table = torch.zeros(2, N_ATOMIC_NUMBERS, dtype=torch.int64)
    for number in range(1, _LAST + 1):
        element = Element(SYMBOLS[number])
        table[0, number], table[1, number] = int(element.row), int(element.group)
    return table


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
