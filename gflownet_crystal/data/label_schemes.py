"""Two vintages of Materials Project formation energies, brought to one.

MatBench, MEGNet, Roost and WBM carry the corrections of before 2020; MP-20 and later sets those of MaterialsProject2020
(Wang et al., Sci. Rep. 11, 15496, 2021). They differ by an amount per atom of an element, by up to 0.5 eV/atom in
bromides. The coefficients below are a least-absolute-deviations fit to 19,000 crystals of MP-20's training set and
MPTS-52 that MatBench holds too; on MP-20 val they bring the mean difference of the labels from 44 to 10 meV/atom.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, ELECTRONEGATIVITY
from gflownet_crystal.structures.formulas import text_to_composition

LEGACY_SOURCES = ("roost", "megnet", "matbench", "wbm")
"""Beginnings of the ``energy_source`` of labels with the earlier corrections."""

SCHEME_COLUMN, SCHEME = "label_scheme", "MaterialsProject2020"
"""Column of a prepared table that marks converted labels."""

ANION_SHIFT: dict[str, tuple[float, float]] = {
    "O": (0.025, 0.026),
    "S": (0.164, 0.169),
    "F": (0.026, 0.0),
    "Cl": (-0.022, -0.016),
    "Br": (-0.529, -0.527),
    "I": (-0.377, -0.361),
    "Se": (-0.470, -0.455),
    "Te": (-0.425, -0.335),
    "N": (0.018, 0.031),
    "H": (-0.027, 0.151),
    "Si": (0.068, 0.012),
    "Sb": (-0.193, -0.022),
    "P": (0.0, -0.001),
    "As": (-0.003, -0.005),
    "C": (-0.003, -0.008),
    "B": (-0.001, -0.002),
}
"""eV per atom of the element: where it is the most electronegative element of the crystal, and elsewhere."""

METAL_SHIFT: dict[str, tuple[float, float]] = {
    "V": (-0.026, -0.024),
    "Cr": (-0.057, -0.064),
    "Mn": (-0.005, -0.003),
    "Fe": (0.464, 0.344),
    "Co": (0.111, 0.059),
    "Ni": (-0.565, -0.564),
    "Mo": (0.319, 0.007),
    "W": (-0.106, -0.004),
}
"""eV per atom of a metal with a Hubbard U, in crystals with oxygen and in those with fluorine."""


def is_legacy(energy_source: pd.Series) -> NDArray[np.bool_]:
    """Rows (n,) whose label has the corrections of before 2020."""
    return np.asarray(energy_source.astype(str).str.startswith(LEGACY_SOURCES), dtype=np.bool_)


def legacy_shift(composition: Tensor) -> Tensor:
    """MaterialsProject2020 minus earlier formation energy, (n,) float64, eV/atom.

    Args:
        composition: (n, 119) int64 counts.
    """
    fractions = composition.double() / composition.sum(1, keepdim=True)
    present = composition > 0
    electronegativity = torch.from_numpy(np.nan_to_num(ELECTRONEGATIVITY)).to(composition.device)
    leading = torch.where(present, electronegativity, -1.0).argmax(1)
    shift = torch.zeros(len(composition), dtype=torch.float64, device=composition.device)
    for symbol, (as_anion, elsewhere) in ANION_SHIFT.items():
        number = ATOMIC_NUMBERS[symbol]
        shift += fractions[:, number] * torch.where(leading == number, as_anion, elsewhere)
    for symbol, (with_oxygen, with_fluorine) in METAL_SHIFT.items():
        each = with_oxygen * present[:, ATOMIC_NUMBERS["O"]] + with_fluorine * present[:, ATOMIC_NUMBERS["F"]]
        shift += fractions[:, ATOMIC_NUMBERS[symbol]] * each
    return shift


def needs_conversion(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (n,) of a prepared table whose label is still in the earlier scheme."""
    legacy = is_legacy(table["energy_source"])
    if SCHEME_COLUMN in table.columns:
        legacy = legacy & (table[SCHEME_COLUMN] != SCHEME).to_numpy(dtype=np.bool_)
    return legacy


def to_one_scheme(table: pd.DataFrame) -> pd.DataFrame:
    """The prepared table with every label in the MaterialsProject2020 scheme; a column says so."""
    rows = needs_conversion(table)
    energies = table[ENERGY_COLUMN].to_numpy(dtype=np.float64).copy()
    if rows.any():
        energies[rows] += legacy_shift(text_to_composition(table[FORMULA][rows].tolist())).numpy()
    return table.assign(**{ENERGY_COLUMN: energies, SCHEME_COLUMN: SCHEME})
