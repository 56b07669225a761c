"""Relaxation in batches: against ASE's own optimizer, and one crystal against many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import spglib
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.spacegroup import crystal

from gflownet_crystal.models.energies.derivatives import by_calculator
from gflownet_crystal.relaxation.preparing import Prepared
from gflownet_crystal.relaxation.relax import relax, relax_in_batches
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_ase, to_ase
from gflownet_crystal.structures.structure import StructureBatch
from tests.relaxation.metals import copper, emt_energies, overlapping

FREE = RelaxationSettings(symmetry=False, fmax=0.01)


def alloy(seed: int, elements: str = "CuAu") -> Atoms:
    """Four atoms, strained and displaced."""
    atoms = bulk("Cu", "fcc", 3.75, cubic=True)
    atoms.symbols[:2] = elements[2:] or "Au"
    atoms.rattle(0.08, seed=seed)
    strain = 0.02 * np.random.default_rng(seed).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
    return atoms


def by_ase(atoms: Atoms, fmax: float) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=fmax, steps=500)
    return atoms


def test_the_minimum_is_that_of_ases_optimizer() -> None:
    given = alloy(0)
    expected = by_ase(given, 1e-4)
    found = relax(from_ase([given]), emt_energies(), replace(FREE, fmax=1e-4))
    assert found.status == "converged" and found.structure is not None and found.after is not None
    energy = by_calculator(EMT(), found.structure).energy
    assert float(energy[0]) == pytest.approx(expected.get_potential_energy(), abs=4e-5)
    assert float(found.structure.volume[0]) == pytest.approx(expected.get_volume(), rel=1e-3)
    # in fewer steps than the optimizer that it is compared with
    fewer = BFGS(FrechetCellFilter(_with_calculator(given)), logfile=None)
    fewer.run(fmax=FREE.fmax)
    assert relax(from_ase([given]), emt_energies(), FREE).steps < fewer.nsteps


def _with_calculator(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = EMT()
    return atoms


def test_slopes_are_differences_of_energies() -> None:
    given = from_ase([alloy(1)])
    prepared = Prepared.of(given, FREE)
    coordinates, n = prepared.coordinates, prepared.coordinates.n_coordinates
    generator = torch.Generator().manual_seed(0)
    values = 0.03 * torch.randn(1, n, generator=generator, dtype=torch.float64)
    structures = coordinates.structures(values)
    found = by_calculator(EMT(), structures)
    slopes = coordinates.slopes(values, found.forces, found.stress * structures.volume[:, None, None])
    for column in (0, 5, 11, 12, 14, 17):
        step = torch.zeros_like(values)
        step[0, column] = 1e-4
        high, low = (
            by_calculator(EMT(), coordinates.structures(values + sign * step)).energy for sign in (1, -1)
        )
        assert float(slopes[0, column]) == pytest.approx(float((high - low)[0]) / 2e-4, abs=2e-4)


def mixed() -> list[tuple[str, StructureBatch]]:
    crystals = {f"alloy {seed}": from_ase([alloy(seed)]) for seed in range(4)}
    crystals |= {
        "copper": copper(3.8),
        "overlapping": overlapping(),
        "iron": from_ase([bulk("Fe", "bcc", 2.9)]),
    }
    return list(crystals.items())


@pytest.mark.parametrize("batch", [1, 6, 100])
def test_a_crystal_ends_as_it_does_alone(batch: int) -> None:
    together = {one.key: one for one in relax_in_batches(mixed(), emt_energies(), replace(FREE, batch=batch))}
    assert together.keys() == {name for name, _ in mixed()}
    for name, structure in mixed():
        alone, found = relax(structure, emt_energies(), FREE), together[name].result
        assert (alone.status, alone.reason, alone.steps) == (found.status, found.reason, found.steps)
        assert (alone.after is None) == (found.after is None) == (name in ("overlapping", "iron"))
        if alone.after is not None and found.after is not None:
            assert found.after.energy == pytest.approx(alone.after.energy, abs=1e-8)
        assert together[name].seconds >= 0.0
    assert "closer than" in together["overlapping"].result.reason
    assert "element" in together["iron"].result.reason


def test_no_more_atoms_than_the_batch_are_computed_at_once() -> None:
    seen = []
    energies = emt_energies()
    compute = energies.derivatives

    def counted(structures: StructureBatch):
        seen.append(structures.n_atoms.tolist())
        return compute(structures)

    energies.derivatives = counted  # type: ignore[method-assign]
    crystals = [(seed, from_ase([alloy(seed)])) for seed in range(5)]
    done = list(relax_in_batches(crystals, energies, replace(FREE, batch=9)))
    assert sorted(one.key for one in done) == list(range(5))
    assert max(sum(sizes) for sizes in seen) == 8
    # the next one enters as soon as there is room
    assert sum(len(sizes) == 1 for sizes in seen) < len(seen) / 2


def test_a_relaxed_crystal_has_its_group_and_no_coordinates_are_no_problem() -> None:
    atoms = crystal(
        ["Cu", "Au"], [(0, 0, 0), (0, 0.5, 0.45)], spacegroup=129, cellpar=[4.0, 4.0, 3.6, 90, 90, 90]
    )
    found = relax(from_ase([atoms]), emt_energies(), RelaxationSettings(fmax=0.02))
    assert found.status == "converged" and found.structure is not None and found.steps > 1
    relaxed = to_ase(found.structure)[0]
    dataset = spglib.get_symmetry_dataset(
        (relaxed.cell.array, relaxed.get_scaled_positions(), relaxed.numbers), 1e-6
    )
    assert dataset.number == 129
    fixed = relax(copper(3.8), emt_energies(), RelaxationSettings(cell=False))
    assert (fixed.status, fixed.steps) == ("converged", 0)
