"""Metals with ASE's effective-medium potential: cheap, and known in closed enough form to be scanned."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.structure import StructureBatch

REFERENCES = {"Cu": -0.01, "Al": -0.02, "Au": 0.0, "Ni": 0.0}


def emt_energies() -> PotentialEnergies:
    """Energies by the effective-medium potential."""
    return PotentialEnergies(EMT(), REFERENCES)


def copper(constant: float = 3.7) -> StructureBatch:
    """Face-centred copper, primitive."""
    return from_ase([bulk("Cu", "fcc", constant)])


def overlapping() -> StructureBatch:
    """Two atoms in one place, nearly."""
    return from_ase([Atoms("Cu2", positions=[[0, 0, 0], [0.05, 0, 0]], cell=[4, 4, 4], pbc=True)])


def scanned_constant() -> float:
    """Lattice constant of face-centred copper of least energy, in A, by a scan and a parabola."""
    constants = np.linspace(3.5, 3.7, 81)
    energies = []
    for constant in constants:
        atoms = bulk("Cu", "fcc", constant)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    near = slice(max(0, int(np.argmin(energies)) - 4), int(np.argmin(energies)) + 5)
    a, b, _ = np.polyfit(constants[near], np.array(energies)[near], 2)
    return float(-b / (2 * a))
