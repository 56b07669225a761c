"""Crystals of single elements that are, or lie close to, their ground states: where formation energies start from.

They come from ASE's table of metals, from the AFLOW prototypes that pymatgen has (M. J. Mehl et al., Comput. Mater.
Sci. 136, S1, 2017) and, for elements that neither has, from R. W. G. Wyckoff, Crystal Structures, 1963.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS

if TYPE_CHECKING:
    from ase import Atoms

HEAVIEST = 94
"""Atomic number of plutonium; heavier elements have no crystals here."""

_MOST_ATOMS = 34

_Sites = tuple[tuple[float, float, float], ...]
_FURTHER: dict[str, tuple[int, tuple[float, ...], _Sites]] = {
    # molecules on the sites of solid nitrogen
    "H": (205, (5.31,), ((0.0402, 0.0402, 0.0402),)),
    "F": (205, (5.04,), ((0.0813, 0.0813, 0.0813),)),
    # molecules as in solid iodine
    "Cl": (64, (6.24, 4.48, 8.26), ((0.0, 0.118, 0.102),)),
    "Br": (64, (6.67, 4.48, 8.72), ((0.0, 0.136, 0.111),)),
    # chains as in selenium
    "Te": (152, (4.46, 5.93), ((0.2636, 0.0, 1 / 3),)),
    "Pr": (194, (3.67, 11.83), ((0.0, 0.0, 0.0), (1 / 3, 2 / 3, 0.25))),
    "Nd": (194, (3.66, 11.80), ((0.0, 0.0, 0.0), (1 / 3, 2 / 3, 0.25))),
    "Pm": (194, (3.65, 11.65), ((0.0, 0.0, 0.0), (1 / 3, 2 / 3, 0.25))),
    "Ra": (229, (5.148,), ((0.0, 0.0, 0.0),)),
    "He": (194, (3.57, 5.83), ((1 / 3, 2 / 3, 0.25),)),
}
"""Space group, lengths of the conventional cell (A; a alone is cubic, a and c hexagonal) and one atom of each orbit."""


def elemental_crystals(symbol: str) -> list[tuple[str, Atoms]]:
    """Crystals of an element, none for the few of which no structure is listed.

    Args:
        symbol: symbol of the element, up to plutonium.

    Returns:
        Names that say where each comes from, and ASE objects in primitive cells, without calculators.
    """
    found = [*_of_ase(symbol), *_of_aflow().get(symbol, ())]
    if symbol in _FURTHER:
        found.append((f"wyckoff {_FURTHER[symbol][0]}", _further(symbol)))
    return [(name, atoms.copy()) for name, atoms in found]


def elements_with_crystals() -> list[str]:
    """Symbols of the elements that :func:`elemental_crystals` knows, by atomic number."""
    return [symbol for symbol in SYMBOLS[1 : HEAVIEST + 1] if elemental_crystals(symbol)]


def _of_ase(symbol: str) -> list[tuple[str, Atoms]]:
    from ase.build import bulk
    from ase.data import reference_states

    state = reference_states[ATOMIC_NUMBERS[symbol]]
    # some of the listed cells need positions that ASE does not list
    if state is None or ("basis" in state and state["basis"] is None):
        return []
    try:
        return [(f"ase {state['symmetry']}", bulk(symbol))]
    except (ValueError, RuntimeError):
        return []


@functools.cache
def _of_aflow() -> dict[str, tuple[tuple[str, Atoms], ...]]:
    """Prototypes of one element that are crystals of that element, by symbol."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
        from pymatgen.io.ase import AseAtomsAdaptor

        found: dict[str, tuple[tuple[str, Atoms], ...]] = {}
        for entry in AFLOW_PROTOTYPE_LIBRARY:
            structure = entry["snl"].structure
            symbols = structure.composition.elements
            if len(symbols) == 1 and len(structure) <= _MOST_ATOMS:
                one = (
                    f"aflow {entry['tags']['aflow']}",
                    AseAtomsAdaptor.get_atoms(structure, msonable=False),
                )
                found[symbols[0].symbol] = (*found.get(symbols[0].symbol, ()), one)
    return found


def _further(symbol: str) -> Atoms:
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    group, lengths, sites = _FURTHER[symbol]
    a, c = lengths[0], lengths[-1]
    if len(lengths) == 3:
        lattice = Lattice.orthorhombic(a, lengths[1], c)
    else:
        lattice = Lattice.cubic(a) if len(lengths) == 1 else Lattice.hexagonal(a, c)
    structure = Structure.from_spacegroup(group, lattice, [symbol] * len(sites), sites)
    return AseAtomsAdaptor.get_atoms(structure.get_primitive_structure(), msonable=False)
