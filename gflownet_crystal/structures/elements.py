"""The elements as arrays indexed by atomic number (0 unused): symbols, electronegativity, covalent radii."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y
Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re
Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg
Cn Nh Fl Mc Lv Ts Og
"""
_NAN = float("nan")
_ELECTRONEGATIVITY = (
    2.2, _NAN, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, _NAN, 0.93, 1.31, 1.61, 1.9, 2.19, 2.58, 3.16,
    _NAN, 0.82, 1.0, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.9, 1.65, 1.81, 2.01, 2.18, 2.55,
    2.96, 3.0, 0.82, 0.95, 1.22, 1.33, 1.6, 2.16, 1.9, 2.2, 2.28, 2.2, 1.93, 1.69, 1.78, 1.96, 2.05, 2.1,
    2.66, 2.6, 0.79, 0.89, 1.1, 1.12, 1.13, 1.14, 1.13, 1.17, 1.2, 1.2, 1.1, 1.22, 1.23, 1.24, 1.25, 1.1,
    1.27, 1.3, 1.5, 2.36, 1.9, 2.2, 2.2, 2.28, 2.54, 2.0, 1.62, 2.33, 2.02, 2.0, 2.2, 2.2, 0.7, 0.9, 1.1,
    1.3, 1.5, 1.38, 1.36, 1.28, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, *(_NAN,) * 15,
)  # fmt: skip
_COVALENT_RADII = (
    0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02,
    1.06, 2.03, 1.76, 1.7, 1.6, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.2, 1.19, 1.2, 1.2,
    1.16, 2.2, 1.95, 1.9, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38,
    1.39, 1.4, 2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.9,
    1.87, 1.87, 1.75, 1.7, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.4, 1.5, 1.5, 2.6,
    2.21, 2.15, 2.06, 2.0, 1.96, 1.9, 1.87, 1.8, 1.69, *(2.0,) * 22,
)  # fmt: skip

SYMBOLS: tuple[str, ...] = ("", *_SYMBOLS.split())
"""Element symbols; ``SYMBOLS[11] == "Na"``."""

N_ATOMIC_NUMBERS = len(SYMBOLS)
"""Length of every array indexed by atomic number: 119."""

ATOMIC_NUMBERS: dict[str, int] = {symbol: number for number, symbol in enumerate(SYMBOLS) if symbol}
"""Inverse of :data:`SYMBOLS`."""

ELECTRONEGATIVITY = np.array((_NAN, *_ELECTRONEGATIVITY))
"""Pauling electronegativity, (119,) float64; NaN where none is tabulated."""

COVALENT_RADII = np.array((_NAN, *_COVALENT_RADII))
"""Covalent radii in Å, (119,) float64: Cordero et al., Dalton Trans. 2008, 2832; 2.0 beyond curium."""

# NaN sorts last, so elements without an electronegativity close a formula; ties go by atomic number
FORMULA_ORDER = np.argsort(ELECTRONEGATIVITY[1:], kind="stable") + 1
"""Atomic numbers by rising electronegativity, (118,) int64: the order of elements in a formula."""


@functools.cache
def atomic_masses() -> NDArray[np.float64]:
    """Standard atomic masses by atomic number, (119,) float64 in atomic mass units; pymatgen's table."""
    from pymatgen.core import Element

    return np.array(
        [0.0, *(float(Element.from_Z(number).atomic_mass) for number in range(1, N_ATOMIC_NUMBERS))]
    )
