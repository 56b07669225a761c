"""The MaterialsProject2020 energy corrections, for potentials whose energies do not hold them.

They fit anions to experiment and join calculations with a Hubbard U to those without (Wang et al., Sci. Rep. 11,
15496, 2021); pymatgen has the rules. The Materials Project uses U for oxides and fluorides of the metals below.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, ELECTRONEGATIVITY
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

HUBBARD_U = {"Co": 3.32, "Cr": 3.7, "Fe": 5.3, "Mn": 3.9, "Mo": 4.38, "Ni": 6.2, "V": 3.25, "W": 6.2}
"""eV, of metals in oxides and fluorides."""

HUBBARD_ANIONS = ("O", "F")


def materials_project_corrections(structures: StructureBatch) -> Tensor:
    """Corrections to the energies of structures.

    Args:
        structures: n structures.

    Returns:
        (n,) float64 on the CPU, eV/atom; zero for elements.
    """
    with warnings.catch_warnings():
        # pymatgen warns where it guesses oxidation states, and of its own future
        warnings.simplefilter("ignore")
        values = [_correction(structure) / len(structure) for structure in to_pymatgen(structures)]
    return torch.tensor(values, dtype=torch.float64)


def _correction(structure: Structure) -> float:
    """eV for the cell."""
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    symbols = [element.symbol for element in structure.composition.elements]
    anion = max(symbols, key=lambda symbol: np.nan_to_num(ELECTRONEGATIVITY[ATOMIC_NUMBERS[symbol]]))
    hubbards = {symbol: HUBBARD_U.get(symbol, 0.0) for symbol in symbols} if anion in HUBBARD_ANIONS else {}
    with_u = any(hubbards.values())
    entry = ComputedStructureEntry(
        structure,
        0.0,
        parameters={"run_type": "GGA+U" if with_u else "GGA", "hubbards": hubbards if with_u else {}},
    )
    return float(sum(adjustment.value for adjustment in _scheme().get_adjustments(entry)))


@functools.cache
def _scheme() -> Any:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    return MaterialsProject2020Compatibility(check_potcar=False)
