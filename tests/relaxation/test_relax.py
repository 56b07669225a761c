"""Relaxation of one crystal: against energy scans, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.relaxation.changes import rms_displacement
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_arrays, from_ase
from gflownet_crystal.structures.structure import StructureBatch
from tests.relaxation.metals import copper, emt_energies, overlapping, scanned_constant

STRAIN = np.array([[1.03, 0.02, 0.0], [0.02, 0.98, 0.01], [0.0, 0.01, 1.05]])


def strained(structure: StructureBatch) -> StructureBatch:
    return from_arrays(
        structure.cell.numpy() @ STRAIN, [structure.atomic_numbers.numpy()], [structure.fractional.numpy()]
    )


def nearly_body_centred() -> StructureBatch:
    """Copper, body-centred but for a strain far below the tolerance: a saddle, from which it falls to face-centred."""
    return from_ase(
        [Atoms("Cu", cell=np.array([[-1, 1, 1.01], [1, -1, 1.01], [1, 1, -1.01]]) * 1.43, pbc=True)]
    )


def test_strained_copper_comes_to_the_constant_of_a_scan() -> None:
    settings = RelaxationSettings(symmetry=False, fmax=0.002)
    result = relax(strained(copper()), emt_energies(), settings)
    assert result.status == "converged" and result.structure is not None and result.after is not None
    constant = (4 * float(result.structure.volume[0])) ** (1 / 3)
    assert constant == pytest.approx(scanned_constant(), abs=2e-3)
    assert result.after.space_group == 225
    assert result.before is not None and result.after.energy < result.before.energy


def test_energies_and_pressures_are_those_of_the_scan() -> None:
    result = relax(copper(3.75), emt_energies(), RelaxationSettings(steps=0))
    assert result.status == "not_converged" and result.steps == 0 and result.before is not None

    def energy(constant: float) -> float:
        atoms = bulk("Cu", "fcc", constant)
        atoms.calc = EMT()
        return float(atoms.get_potential_energy())

    assert result.before.energy == pytest.approx(energy(3.75) + 0.01, abs=1e-9)
    slope = (energy(3.751) - energy(3.749)) / ((3.751**3 - 3.749**3) / 4)
    assert result.before.pressure == pytest.approx(-slope / units.GPa, rel=1e-3)


def test_symmetry_is_kept_on_request_and_else_broken() -> None:
    kept, free = (
        relax(
            nearly_body_centred(),
            emt_energies(),
            RelaxationSettings(symmetry=symmetry, symprec=0.05, fmax=0.002),
        )
        for symmetry in (True, False)
    )
    for result in (kept, free):
        assert result.status == "converged" and result.before is not None
        assert result.before.space_group == 229
    assert kept.after is not None and kept.after.space_group == 229
    assert free.after is not None and free.after.space_group == 225
    assert free.after.energy < kept.after.energy


def test_atoms_move_alone_in_a_fixed_cell() -> None:
    crystal = bulk("Cu", "fcc", 3.6, cubic=True)
    crystal.rattle(0.1, seed=1)
    given = from_ase([crystal])
    result = relax(given, emt_energies(), RelaxationSettings(cell=False, symmetry=False, fmax=0.01))
    assert result.status == "converged" and result.structure is not None
    assert torch.equal(result.structure.cell, given.cell)
    assert result.after is not None and result.after.max_force <= 0.01
    # back on the lattice sites, but for a common shift
    sites = from_ase([bulk("Cu", "fcc", 3.6, cubic=True)])
    assert rms_displacement(sites, result.structure) < 0.01
    assert rms_displacement(given, result.structure) > 0.05


def test_steps_are_bounded() -> None:
    result = relax(strained(copper(3.9)), emt_energies(), RelaxationSettings(steps=3, symmetry=False))
    assert (result.status, result.steps) == ("not_converged", 3)
    assert result.structure is not None


def test_a_crystal_that_runs_away_fails() -> None:
    result = relax(copper(4.1), emt_energies(), RelaxationSettings(max_volume_change=0.1))
    assert result.status == "failed" and "volume" in result.reason and result.steps > 0
    assert result.structure is None


class Breaking(Calculator):
    """After some calls raises, or gives forces that are not finite."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, good: int, raises: bool) -> None:
        super().__init__()
        self.left, self.raises = good, raises

    def calculate(self, atoms=None, properties=None, system_changes=None) -> None:
        super().calculate(atoms, properties, system_changes)
        self.left -= 1
        if self.left < 0 and self.raises:
            raise RuntimeError("no graph\nfor this")
        forces = np.full((len(self.atoms), 3), np.nan if self.left < 0 else 1.0)
        self.results = {"energy": -1.0, "forces": forces, "stress": np.zeros(6)}


@pytest.mark.parametrize(("raises", "said"), [(True, "no graph for this"), (False, "not finite")])
def test_whatever_a_potential_raises_is_a_reason(raises: bool, said: str) -> None:
    crystal = from_ase([bulk("Cu", "fcc", 3.6, cubic=True)])
    energies = PotentialEnergies(Breaking(3, raises), {"Cu": 0.0})
    result = relax(crystal, energies, RelaxationSettings(symmetry=False))
    assert result.status == "failed" and said in result.reason and "\n" not in result.reason


def test_what_the_model_cannot_judge_fails_at_once() -> None:
    settings = RelaxationSettings()
    assert "closer than" in relax(overlapping(), emt_energies(), settings).reason
    assert "element" in relax(from_ase([bulk("Fe", "bcc", 2.9)]), emt_energies(), settings).reason


@pytest.mark.parametrize(
    ("values", "said"),
    [({"fmax": 0.0}, "fmax"), ({"steps": -1}, "steps"), ({"symprec": "x"}, "symprec"), ({"cell": 1}, "cell")],
)
def test_settings_out_of_range_are_refused(values: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RelaxationSettings(**values)
