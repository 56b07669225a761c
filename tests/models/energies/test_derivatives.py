"""Energies, forces and stresses of many structures at once: those of the packages' own calculators, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.energies.derivatives import Derivatives, by_calculator, each_alone
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.structure import StructureBatch


def crystals() -> list[Atoms]:
    """Of different sizes and densities, some of them disturbed; barium has no neighbour within 3 Å."""
    salt = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    salt.rattle(0.1, seed=1)
    oxide = bulk("ZnO", "wurtzite", 3.25, c=5.2)
    oxide.rattle(0.05, seed=2)
    strain = np.array([[0.02, 0.01, 0], [0.01, 0, 0], [0, 0, -0.02]])
    oxide.set_cell(oxide.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return [bulk("Cu", "fcc", 3.6), salt, bulk("Ba", "bcc", 5.03), oxide, bulk("Si", "diamond", 5.5)]


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("chgnet", "chgnet:0.3.0"),
        ("chgnet", "chgnet:0.2.0"),
        ("sevenn", "sevenn:7net-0"),
        ("sevenn", "sevenn:7net-mf-0"),
        ("gflownet_crystal", "alignn"),
    ],
)
def test_many_at_once_have_the_values_of_the_calculator(package: str, name: str) -> None:
    pytest.importorskip(package)
    energies = load_energies(name)
    structures = from_ase(crystals())
    found, expected = energies.derivatives(structures), by_calculator(energies.calculator(), structures)
    assert found.reasons == expected.reasons == {}
    torch.testing.assert_close(found.energy, expected.energy, atol=5e-5, rtol=0)
    # CHGNet's own calculator works with positions of single precision
    torch.testing.assert_close(found.forces, expected.forces, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.stress, expected.stress, atol=1e-5, rtol=0)
    formation = energies.formation_energies(structures, found.energy)
    torch.testing.assert_close(formation, energies.predict(structures)[0], atol=1e-5, rtol=0)


def test_a_structure_that_raises_is_alone_with_its_reason() -> None:
    structures = from_ase([bulk("Cu", "fcc", constant) for constant in (3.5, 3.6, 3.7, 3.8, 3.9)])
    asked = []

    def compute(given: StructureBatch) -> Derivatives:
        asked.append(len(given))
        if bool((given.volume > 14.5).any()):
            raise DataError("too large")
        if bool((given.volume < 11.0).any()):
            raise RuntimeError("two\nlines")
        return by_calculator(EMT(), given)

    found = each_alone(compute, structures)
    assert found.reasons == {0: "RuntimeError: two lines", 4: "too large"}
    assert max(asked) == 5 and len(asked) < 10
    expected = by_calculator(EMT(), structures)
    for name in ("energy", "forces", "stress"):
        here, there = getattr(found, name), getattr(expected, name)
        assert torch.equal(here[1:4], there[1:4]) and bool(here[[0, 4]].isnan().all())


def test_structures_that_cannot_be_judged_are_not_computed() -> None:
    energies = PotentialEnergies(EMT(), {"Cu": 0.0})
    structures = from_ase([bulk("Fe", "bcc", 2.9), bulk("Cu", "fcc", 3.6), bulk("Al", "fcc", 4.0)])
    found = energies.derivatives(structures)
    assert found.reasons.keys() == {0, 2} and "element" in found.reasons[0]
    alone = by_calculator(EMT(), structures[1:2])
    assert torch.equal(found.energy[1:2], alone.energy) and torch.equal(found.stress[1:2], alone.stress)
    assert energies.derivatives(structures[:1]).reasons.keys() == {0}
