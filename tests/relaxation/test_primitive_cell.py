"""Primitive cells against pymatgen's, and relaxations in them against those in the cell that was given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.emt import EMT
from pymatgen.core import Structure

from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.relaxation.primitive_cell import PrimitiveCell
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_ase, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.relaxation.metals import REFERENCES, emt_energies

RNG = np.random.default_rng(3)


def alloy() -> Atoms:
    """Two copper and one gold atom at general points of a triclinic cell."""
    cell = [[2.9, 0.1, 0.0], [0.4, 3.6, 0.2], [-0.3, 0.5, 4.9]]
    points = [[0.02, 0.03, 0.01], [0.45, 0.51, 0.38], [0.07, 0.05, 0.71]]
    return Atoms("Cu2Au", scaled_positions=points, cell=cell, pbc=True)


def shuffled(atoms: Atoms) -> StructureBatch:
    """The atoms in a random order, each in any image of the cell."""
    order = RNG.permutation(len(atoms))
    atoms = atoms[order]
    atoms.positions += RNG.integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    return from_ase([atoms])


@pytest.mark.parametrize(
    ("atoms", "factors", "size"),
    [
        (alloy(), np.diag([1, 1, 1]), 3),
        (alloy(), np.array([[2, 1, 0], [0, 1, 1], [1, 0, 3]]), 3),
        (alloy(), np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), 3),
        (bulk("Cu", "fcc", 3.6, cubic=True), np.diag([1, 2, 3]), 1),
        (bulk("NaCl", "rocksalt", 5.6, cubic=True), np.eye(3, dtype=int), 2),
    ],
)
def test_cells_are_primitive_and_lead_back(atoms: Atoms, factors: np.ndarray, size: int) -> None:
    given = shuffled(make_supercell(atoms, factors))
    reduced = PrimitiveCell.of(given, 1e-4)
    assert len(reduced.structure.atomic_numbers) == size
    assert len(Structure.get_primitive_structure(to_pymatgen(given)[0])) == size
    assert to_pymatgen(reduced.structure)[0].matches(to_pymatgen(given)[0], scale=False)
    back = reduced.restored(reduced.structure)
    torch.testing.assert_close(back.cell, given.cell, rtol=0, atol=1e-10)
    torch.testing.assert_close(back.fractional, given.fractional, rtol=0, atol=1e-10)
    assert torch.equal(back.atomic_numbers, given.atomic_numbers)


def test_translations_within_the_tolerance_are_averaged() -> None:
    crystal = make_supercell(bulk("Cu", "fcc", 3.6, cubic=True), np.diag([1, 1, 2]))
    crystal.positions += RNG.uniform(-0.003, 0.003, crystal.positions.shape)
    given = from_ase([crystal])
    assert len(PrimitiveCell.of(given, 1e-4).structure.atomic_numbers) == 8
    reduced = PrimitiveCell.of(given, 0.02)
    assert len(reduced.structure.atomic_numbers) == 1
    moved = (reduced.restored(reduced.structure).fractional - given.fractional) @ given.cell[0]
    assert float(moved.norm(dim=1).max()) < 0.01


def test_a_cell_with_an_atom_of_its_own_is_kept() -> None:
    crystal = bulk("Cu", "fcc", 3.6, cubic=True)
    crystal.symbols[1] = "Au"
    reduced = PrimitiveCell.of(from_ase([crystal]), 0.01)
    assert len(reduced.structure.atomic_numbers) == 4
    assert reduced.basis.tolist() == np.eye(3).tolist()


def near_rest() -> Atoms:
    """Ordered Cu3Au, strained and with its atoms off their sites: without symmetry, but in the basin of one minimum."""
    crystal = bulk("Cu", "fcc", 3.7, cubic=True)
    crystal.symbols[0] = "Au"
    crystal.rattle(0.08, seed=2)
    crystal.set_cell(crystal.cell.array @ (np.eye(3) + RNG.uniform(-0.02, 0.02, (3, 3))), scale_atoms=True)
    return crystal


class Counting(EMT):
    """Writes down how many atoms it is asked about."""

    sizes: set[int]

    def calculate(self, atoms=None, *arguments, **settings) -> None:
        self.sizes = {*getattr(self, "sizes", set()), len(atoms)}
        super().calculate(atoms, *arguments, **settings)


@pytest.mark.parametrize("symmetry", [True, False])
def test_relaxations_end_equally_in_both_cells(symmetry: bool) -> None:
    given = shuffled(make_supercell(near_rest(), np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])))
    ended = {}
    for primitive in (True, False):
        potential = Counting()
        settings = RelaxationSettings(symmetry=symmetry, primitive=primitive, fmax=0.002, steps=600)
        ended[primitive] = relax(given, PotentialEnergies(potential, REFERENCES), settings)
        assert potential.sizes == ({4} if primitive else {16})
    small, large = ended[True], ended[False]
    assert small.status == large.status == "converged"
    assert small.structure is not None and large.structure is not None
    assert small.before is not None and large.before is not None
    assert small.before.energy == pytest.approx(large.before.energy, abs=1e-9)
    assert small.before.max_force == pytest.approx(large.before.max_force, abs=1e-8)
    assert small.before.pressure == pytest.approx(large.before.pressure, abs=1e-8)
    assert small.before.space_group == large.before.space_group
    assert small.after is not None and large.after is not None
    assert small.after.energy == pytest.approx(large.after.energy, abs=1e-4)
    assert torch.equal(small.structure.atomic_numbers, given.atomic_numbers)
    torch.testing.assert_close(small.structure.cell, large.structure.cell, rtol=0, atol=0.03)
    # the crystal that comes back has the energy that is told of it
    energy = emt_energies().predict(small.structure)[0]
    assert float(energy[0]) == pytest.approx(small.after.energy, abs=1e-9)


def test_the_group_is_kept_in_the_primitive_cell() -> None:
    crystal = bulk("Cu", "fcc", 3.75, cubic=True)
    result = relax(from_ase([crystal]), emt_energies(), RelaxationSettings(fmax=0.002))
    assert result.structure is not None and result.after is not None
    assert result.after.space_group == 225
    lengths, angles = result.structure.specs().lengths[0], result.structure.specs().angles[0]
    assert lengths.tolist() == pytest.approx([float(lengths[0])] * 3, abs=1e-9)
    assert angles.tolist() == pytest.approx([90.0] * 3, abs=1e-9)
