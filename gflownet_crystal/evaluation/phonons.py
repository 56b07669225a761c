"""Vibrations of a relaxed crystal by finite displacements: imaginary frequencies say that it is no minimum."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import NonNegative, Positive, Whole
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.structures.convert import to_ase
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class PhononSettings(CheckedFields):
    """Settings of the vibrations of judged structures.

    Attributes:
        n: number of structures whose vibrations are computed, the first stable ones; 0 for none.
        length: least distance of opposite faces of the supercell, Å.
        displacement: displacement of an atom, Å.
        tolerance: THz; an imaginary frequency up to it counts as zero.
        fmax: largest force of the crystal that is displaced, eV/Å; it is relaxed on to it first.
    """

    place = "phonons"

    n: Whole = 0
    length: Positive = 8.0
    displacement: Positive = 0.01
    tolerance: NonNegative = 0.1
    fmax: Positive = 0.005


@dataclass(frozen=True)
class Phonons:
    """Vibrations of a crystal at the wave vectors that fit into its supercell.

    Attributes:
        lowest: lowest frequency, THz; an imaginary one is negative.
        imaginary: share of frequencies that are imaginary beyond the tolerance.
        displacements: number of displaced supercells.
        atoms: number of atoms of the supercell.
    """

    lowest: float
    imaginary: float
    displacements: int
    atoms: int

    @property
    def is_minimum(self) -> bool:
        """Whether no frequency is imaginary."""
        return self.imaginary == 0.0


def phonons(structure: StructureBatch, calculator: Calculator, settings: PhononSettings) -> Phonons:
    """Vibrations of a relaxed crystal.

    Args:
        structure: one structure without forces on its atoms; a primitive cell is cheapest.
        calculator: ASE calculator of the energies that it was relaxed with.
        settings: settings of the displacements.

    Raises:
        ConfigError: phonopy is not installed.
        DataError: a displaced supercell has no finite forces.
    """
    check_phonopy()
    from phonopy import Phonopy

    atoms = to_ase(structure)[0]
    repeats = supercell_repeats(np.asarray(atoms.cell), settings.length)
    vibrations: Any = Phonopy(_phonopy_atoms(atoms), supercell_matrix=np.diag(repeats), primitive_matrix="P")
    vibrations.generate_displacements(distance=settings.displacement)
    vibrations.forces = [_forces(cell, calculator) for cell in vibrations.supercells_with_displacements]
    vibrations.produce_force_constants()
    vibrations.symmetrize_force_constants()
    # only wave vectors that fit into the supercell: between them frequencies are interpolated
    vibrations.run_mesh(repeats, is_gamma_center=True, with_eigenvectors=False)
    mesh = vibrations.mesh
    frequencies = np.asarray(mesh.frequencies, dtype=np.float64)
    weights = np.asarray(mesh.weights, dtype=np.float64)
    below = (frequencies < -settings.tolerance).mean(axis=1)
    return Phonons(
        float(frequencies.min()),
        float(below @ weights / weights.sum()),
        len(vibrations.supercells_with_displacements),
        len(vibrations.supercell),
    )


def supercell_repeats(cell: np.ndarray, length: float) -> list[int]:
    """Numbers of cells (3,) along its vectors that bring opposite faces at least ``length`` (Å) apart.

    Args:
        cell: (3, 3) lattice vectors as rows, Å.
        length: least distance of opposite faces, Å.
    """
    distances = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    # a face that is just at the distance needs no further cell
    return [max(1, ceil(length / distance - 1e-6)) for distance in distances.tolist()]


def check_phonopy() -> None:
    """Look for phonopy.

    Raises:
        ConfigError: phonopy is not installed.
    """
    try:
        import phonopy  # noqa: F401 - only looked for
    except ImportError as error:
        raise ConfigError(
            "phonopy is not installed; install it with pip install 'gflownet_crystal[phonons]', or leave phonons.n=0"
        ) from error


def _phonopy_atoms(atoms: Atoms) -> Any:
    from phonopy.structure.atoms import PhonopyAtoms

    return PhonopyAtoms(
        numbers=atoms.numbers, cell=np.asarray(atoms.cell), scaled_positions=atoms.get_scaled_positions()
    )


def _forces(cell: Any, calculator: Calculator) -> np.ndarray:
    """Forces (n, 3) on the atoms of a displaced supercell, eV/Å."""
    atoms = Atoms(numbers=cell.numbers, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
    atoms.calc = calculator
    forces = np.asarray(atoms.get_forces())
    if not np.isfinite(forces).all():
        raise DataError("a displaced supercell has no finite forces")
    return forces
