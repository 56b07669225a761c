"""Known crystals of all lattice systems, made by pymatgen."""

from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

CRYSTALS = {
    "rock salt": ("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "zinc blende": ("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
    "perovskite": ("Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0.5] * 3, [0, 0, 0], [0.5, 0, 0]]),
    "spinel": ("Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], [[0.0] * 3, [0.625] * 3, [0.387] * 3]),
    "pyrite": ("Pa-3", Lattice.cubic(5.42), ["Fe", "S"], [[0, 0, 0], [0.385] * 3]),
    "rutile": ("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    "anatase": ("I4_1/amd", Lattice.tetragonal(3.785, 9.514), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.208]]),
    "wurtzite": (
        "P6_3mc",
        Lattice.hexagonal(3.25, 5.2),
        ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]],
    ),
    "quartz": (
        "P3_221",
        Lattice.hexagonal(4.913, 5.405),
        ["Si", "O"],
        [[0.47, 0, 2 / 3], [0.413, 0.267, 0.786]],
    ),
    "corundum": ("R-3c", Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]),
    "bismuth": ("R-3m", Lattice.hexagonal(4.546, 11.862), ["Bi"], [[0, 0, 0.234]]),
    "marcasite": ("Pnnm", Lattice.orthorhombic(4.44, 5.42, 3.39), ["Fe", "S"], [[0, 0, 0], [0.2, 0.378, 0]]),
    "baddeleyite": (
        "P2_1/c",
        Lattice.monoclinic(5.15, 5.21, 5.31, 99.2),
        ["Zr", "O", "O"],
        [[0.275, 0.04, 0.208], [0.07, 0.332, 0.345], [0.45, 0.757, 0.479]],
    ),
    "tenorite": (
        "C2/c",
        Lattice.monoclinic(4.68, 3.42, 5.13, 99.5),
        ["Cu", "O"],
        [[0.25, 0.25, 0], [0, 0.418, 0.25]],
    ),
    "triclinic": (
        "P-1",
        Lattice.from_parameters(4.1, 5.2, 6.3, 81, 97, 103),
        ["B", "P", "O", "O"],
        [[0.1, 0.2, 0.3], [0.6, 0.7, 0.15], [0.35, 0.45, 0.2], [0.85, 0.1, 0.4]],
    ),
    "polar": (
        "P1",
        Lattice.from_parameters(3.1, 4.2, 5.3, 85, 99, 107),
        ["Li", "N", "O"],
        [[0.1, 0.2, 0.3], [0.6, 0.7, 0.15], [0.35, 0.45, 0.72]],
    ),
}


@pytest.fixture(scope="session")
def crystals() -> list[Structure]:
    return [Structure.from_spacegroup(*crystal) for crystal in CRYSTALS.values()]
