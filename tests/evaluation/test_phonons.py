"""Vibrations by finite displacements, against chains with known frequencies and lattices that are no minima."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("phonopy")

from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.evaluation.phonons import PhononSettings, phonons, supercell_repeats
from gflownet_crystal.structures.convert import from_ase

CELL, STIFF, SOFT = np.array([4.0, 4.5, 5.0]), 2.0, 0.5


class Springs(Calculator):
    """Atoms of an orthorhombic lattice on springs to their two neighbours along x.

    Args:
        soft: spring constant of motion along y and z, eV/Å^2; negative for a lattice that is no minimum.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as ASE declares it

    def __init__(self, soft: float = SOFT) -> None:
        super().__init__()
        self.constants = np.array([STIFF, soft, soft])

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        scaled = self.atoms.positions / CELL
        moved = (scaled - np.rint(scaled)) * CELL
        shape = np.rint(self.atoms.cell.lengths() / CELL).astype(int)
        place = np.rint(scaled).astype(int) % shape
        field = np.zeros((*shape, 3))
        field[tuple(place.T)] = moved
        pull = np.roll(field, 1, axis=0) + np.roll(field, -1, axis=0) - 2 * field
        forces = self.constants * pull
        self.results = {"energy": -0.5 * float((field * forces).sum()), "forces": forces[tuple(place.T)]}


def test_frequencies_of_a_chain_are_those_of_the_closed_form() -> None:
    atoms = Atoms("Na", cell=CELL, pbc=True)
    found = phonons(from_ase([atoms]), Springs(soft=-SOFT), PhononSettings(length=4 * CELL[0]))
    # omega^2 = (4 K / m) sin^2(q a / 2); the most negative at the edge of the zone, of the negative springs
    edge = np.sqrt(4 * SOFT / atoms.get_masses()[0] * units._e / units._amu * 1e20) / (2 * np.pi * 1e12)
    assert found.lowest == pytest.approx(-edge, rel=1e-4)
    # of 4 wave vectors along x all but one, of 3 directions two
    assert found.imaginary == pytest.approx(3 / 4 * 2 / 3, abs=1e-9)
    assert not found.is_minimum and found.atoms == 64


def test_copper_is_a_minimum_as_fcc_and_none_as_simple_cubic() -> None:
    settings = PhononSettings(length=7.0)
    fcc = phonons(from_ase([bulk("Cu", "fcc", a=3.6)]), EMT(), settings)
    simple = phonons(from_ase([bulk("Cu", "sc", a=2.4)]), EMT(), settings)
    assert fcc.is_minimum and fcc.lowest > -0.1 and fcc.displacements == 1
    assert not simple.is_minimum and simple.lowest < -1.0


@pytest.mark.parametrize("angle", [60.0, 90.0, 120.0])
def test_faces_of_the_supercell_are_as_far_apart_as_asked_and_no_cell_is_superfluous(angle: float) -> None:
    atoms = Atoms("Na", cell=[3.0, 4.0, 9.0, angle, 90.0, 90.0], pbc=True)
    faces = [np.cross(*np.delete(atoms.cell.array, axis, 0)) for axis in range(3)]
    apart = np.array([atoms.cell.volume / np.linalg.norm(face) for face in faces])
    repeats = np.array(supercell_repeats(atoms.cell.array, 8.0))
    assert (repeats * apart >= 8.0 - 1e-6).all()
    assert ((repeats - 1) * apart < 8.0).all()


def test_forces_that_are_no_numbers_and_settings_out_of_range_are_refused() -> None:
    class Broken(Springs):
        def calculate(self, *given) -> None:
            super().calculate(*given)
            self.results["forces"] = self.results["forces"] * np.nan

    atoms = Atoms("Na", cell=CELL, pbc=True)
    with pytest.raises(DataError, match="finite forces"):
        phonons(from_ase([atoms]), Broken(), PhononSettings())
    for values in ({"n": -1}, {"length": 0.0}, {"displacement": -0.01}, {"tolerance": -1.0}, {"fmax": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(values))):
            PhononSettings(**values)
