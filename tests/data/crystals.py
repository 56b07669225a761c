"""A few known crystals as stored rows, for the tests of data and proxies."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from pymatgen.core import Lattice, Structure

KNOWN: tuple[tuple[str, int, Lattice, list[str], list[list[float]]], ...] = (
    # name, group, prototype lattice, species, asymmetric unit
    ("NaCl", 225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    ("CsCl", 221, Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    ("ZnS", 216, Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
    ("TiO2", 136, Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    ("ZnO", 186, Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]),
    ("Al2O3", 167, Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]),
    ("CaTiO3", 62, Lattice.orthorhombic(5.44, 7.64, 5.38), ["Ca", "Ti", "O", "O"],
     [[0.036, 0.25, 0.993], [0, 0, 0.5], [0.484, 0.25, 0.071], [0.289, 0.037, 0.711]]),
    ("ZrO2", 14, Lattice.monoclinic(5.15, 5.21, 5.31, 99.2), ["Zr", "O", "O"],
     [[0.276, 0.041, 0.208], [0.07, 0.332, 0.345], [0.449, 0.758, 0.479]]),
)  # fmt: skip
ENERGIES = (-2.1, -2.0, -1.0, -3.3, -1.8, -3.4, -3.6, -3.8)


def conventional_structures() -> list[Structure]:
    """The known crystals in their conventional cells."""
    return [structure.copy() for structure in _made(primitive=False)]


@cache
def _made(primitive: bool) -> list[Structure]:
    if primitive:
        return [structure.get_primitive_structure() for structure in _made(primitive=False)]
    return [
        Structure.from_spacegroup(group, lattice, species, positions)
        for _, group, lattice, species, positions in KNOWN
    ]


def stored_frame(primitive: bool = True) -> pd.DataFrame:
    """Rows in the Parquet schema; primitive cells unless told otherwise."""
    structures = _made(primitive)
    return pd.DataFrame(
        {
            "material_id": [f"test-{row}" for row in range(len(structures))],
            "lattice": [np.array(structure.lattice.parameters) for structure in structures],
            "atomic_numbers": [np.array(structure.atomic_numbers) for structure in structures],
            "frac_coords": [structure.frac_coords.flatten() for structure in structures],
            "formation_energy_per_atom": ENERGIES,
            "energy_source": ["mp20_train", "roost_mp2020"] * (len(structures) // 2),
            "mp20_split": "none",
        }
    )


# no mirror, no inversion: quartz of the other hand is of group 154
QUARTZ = Structure.from_spacegroup(
    152, Lattice.hexagonal(4.913, 5.405), ["Si", "O"], [[0.4697, 0, 1 / 3], [0.4135, 0.2669, 0.4524]]
)


def table(structure: Structure, vectors: bool = False) -> pd.DataFrame:
    """One row in the Parquet schema, its lattice as parameters or as vectors."""
    lattice = structure.lattice.matrix.ravel() if vectors else np.array(structure.lattice.parameters)
    return pd.DataFrame(
        {
            "material_id": ["one"],
            "lattice": [lattice.tolist()],
            "atomic_numbers": [list(structure.atomic_numbers)],
            "frac_coords": [structure.frac_coords.ravel().tolist()],
            "formation_energy_per_atom": [-3.0],
        }
    )
