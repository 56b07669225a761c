"""Real crystals and their measured properties, by which a declared unit can be checked.

Cells: room-temperature diffraction, conventional cell in the ITA standard setting. Formation enthalpies at 298 K:
CODATA and NIST-JANAF tables, in kJ/mol of the formula. Densities in g/cm3, band gaps in eV, bulk moduli in GPa:
handbook values (CRC Handbook of Chemistry and Physics; Madelung, Semiconductors: Data Handbook).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from gflownet_crystal.common.run_schema import ENERGY_COLUMN
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec

KJ_PER_MOL_PER_EV = 96.485
_NONE = math.nan


@dataclass(frozen=True)
class Reference:
    """One crystal; NaN where a property is not listed.

    Attributes:
        formula: counts of the conventional cell.
        space_group: 1 to 230.
        lengths: a, b, c in Å.
        gamma: in degrees; alpha = beta = 90.
        atoms_per_formula: atoms of the formula that the formation enthalpy is given for.
        formation_enthalpy: kJ/mol of that formula.
        density: g/cm3.
        band_gap: eV.
        bulk_modulus: GPa.
    """

    formula: str
    space_group: int
    lengths: tuple[float, float, float]
    gamma: float
    atoms_per_formula: int
    formation_enthalpy: float
    density: float
    band_gap: float
    bulk_modulus: float


# only the elements H Li C N O F Mg Si P S Cl Fe, so that a proxy of Crystal-GFN's space can be asked too
REFERENCES = (
    Reference("Mg4 O4", 225, (4.212, 4.212, 4.212), 90.0, 2, -601.6, 3.58, 7.8, 160.0),
    Reference("Li4 F4", 225, (4.027, 4.027, 4.027), 90.0, 2, -616.0, 2.64, 13.6, 67.0),
    Reference("Li4 Cl4", 225, (5.130, 5.130, 5.130), 90.0, 2, -408.6, 2.07, 9.4, 31.0),
    Reference("Li4 H4", 225, (4.084, 4.084, 4.084), 90.0, 2, -90.5, 0.78, 5.0, 33.0),
    Reference("Li8 O4", 225, (4.619, 4.619, 4.619), 90.0, 3, -597.9, 2.01, 7.5, 82.0),
    Reference("Mg2 F4", 136, (4.621, 4.621, 3.050), 90.0, 3, -1124.2, 3.15, 10.8, 101.0),
    Reference("Mg4 S4", 225, (5.202, 5.202, 5.202), 90.0, 2, -346.0, 2.68, 4.5, 79.0),
    Reference("Fe12 O18", 167, (5.035, 5.035, 13.747), 120.0, 5, -824.2, 5.25, 2.2, 207.0),
    Reference("Fe3 Cl6", 166, (3.603, 3.603, 17.536), 120.0, 3, -341.8, 3.16, _NONE, _NONE),
    Reference("Mg6 C6 O18", 167, (4.633, 4.633, 15.015), 120.0, 5, -1095.8, 3.00, 6.0, 113.0),
    Reference("Mg1 H2 O2", 164, (3.142, 3.142, 4.766), 120.0, 5, -924.5, 2.37, 5.7, 42.0),
    Reference("Si3 O6", 154, (4.913, 4.913, 5.405), 120.0, 3, -910.7, 2.65, 8.9, 37.0),
    Reference("Fe4 S8", 205, (5.416, 5.416, 5.416), 90.0, 3, -178.2, 5.01, 0.95, 143.0),
    Reference("Si8", 227, (5.431, 5.431, 5.431), 90.0, 1, 0.0, 2.33, 1.12, 98.0),
    Reference("C8", 227, (3.567, 3.567, 3.567), 90.0, 1, 1.9, 3.51, 5.47, 442.0),
    Reference("Fe2", 229, (2.866, 2.866, 2.866), 90.0, 1, 0.0, 7.87, 0.0, 170.0),
)


def reference_specs() -> CrystalSpec:
    """The crystals of :data:`REFERENCES`, in that order."""
    angles = [(90.0, 90.0, crystal.gamma) for crystal in REFERENCES]
    return CrystalSpec(
        space_group=torch.tensor([crystal.space_group for crystal in REFERENCES]),
        composition=text_to_composition([crystal.formula for crystal in REFERENCES]),
        lengths=torch.tensor([crystal.lengths for crystal in REFERENCES], dtype=torch.float64),
        angles=torch.tensor(angles, dtype=torch.float64),
    )


@dataclass(frozen=True)
class Property:
    """A known property.

    Attributes:
        units: allowed units, each with the number of such units in one of the first.
        values: values of the reference crystals in the first unit; NaN where unknown. Values near zero say nothing of a
            unit.
    """

    units: dict[str, float]
    values: tuple[float, ...] = ()


_ENERGY = {
    "eV/atom": 1.0,
    "meV/atom": 1e3,
    "kJ/mol": KJ_PER_MOL_PER_EV,
    "kcal/mol": KJ_PER_MOL_PER_EV / 4.184,
    "Hartree/atom": 1.0 / 27.2114,
    "Rydberg/atom": 1.0 / 13.6057,
}


def known_properties() -> dict[str, Property]:
    """Known properties by the name under which a proxy declares them."""
    energies = [crystal.formation_enthalpy / crystal.atoms_per_formula for crystal in REFERENCES]
    volumes = reference_specs().volume_per_atom.tolist()
    gaps = Property({"eV": 1.0, "meV": 1e3}, tuple(crystal.band_gap for crystal in REFERENCES))
    return {
        ENERGY_COLUMN: Property(_ENERGY, tuple(energy / KJ_PER_MOL_PER_EV for energy in energies)),
        "energy_above_hull": Property(_ENERGY),
        "density": Property({"g/cm3": 1.0, "kg/m3": 1e3}, tuple(crystal.density for crystal in REFERENCES)),
        "volume_per_atom": Property(
            {"A3/atom": 1.0, "A3": 1.0, "nm3": 1e-3, "Bohr3": 6.7483}, tuple(volumes)
        ),
        "band_gap": gaps,
        "bulk_modulus": Property(
            {"GPa": 1.0, "eV/A3": 1 / 160.2177}, tuple(c.bulk_modulus for c in REFERENCES)
        ),
    }
