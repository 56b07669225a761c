"""Passes of the shipped denoiser: atoms come nearer to their places, in the cell and the symmetry that were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spglib
import torch
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.models.denoiser import KIND
from gflownet_crystal.relaxation.changes import rms_displacement
from gflownet_crystal.relaxation.denoising import denoising_displacements, load_denoiser
from gflownet_crystal.relaxation.preparing import Prepared
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_ase, to_ase
from gflownet_crystal.weights import load_weights, save_weights
from tests.relaxation.metals import emt_energies

WEIGHTS = "denoiser_gemsnet"
# each with its group, and the free parameter of a site as it is in nature and as it is shown
KNOWN = {
    "rutile": (136, ["Ti", "O"], [4.594, 4.594, 2.959, 90, 90, 90], 0.305, 0.26),
    "wurtzite": (186, ["Zn", "O"], [3.25, 3.25, 5.207, 90, 90, 120], 0.382, 0.44),
    "pyrite": (205, ["Fe", "S"], [5.418, 5.418, 5.418, 90, 90, 90], 0.385, 0.34),
    "cadmium iodide": (164, ["Mg", "Br"], [3.81, 3.81, 6.26, 90, 90, 120], 0.25, 0.31),
}


def known(name: str, parameter: float) -> Atoms:
    """A crystal with a value of its free parameter."""
    group, symbols, cell, _, _ = KNOWN[name]
    x = parameter
    sites = {
        "rutile": [(0, 0, 0), (x, x, 0)],
        "wurtzite": [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, x)],
        "pyrite": [(0, 0, 0), (x, x, x)],
        "cadmium iodide": [(0, 0, 0), (1 / 3, 2 / 3, x)],
    }
    return crystal(symbols, sites[name], spacegroup=group, cellpar=cell)


def symmetry(atoms: Atoms) -> int:
    """Group by spglib, with a tolerance that no network's rounding hides in."""
    return spglib.get_symmetry_dataset(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-4
    ).number


@pytest.mark.parametrize("name", KNOWN)
def test_atoms_come_nearer_to_their_places_in_the_symmetry_that_was_given(name: str) -> None:
    group, _, _, true, shown = KNOWN[name]
    given = known(name, shown)
    prepared = Prepared.of(from_ase([given]), RelaxationSettings(primitive=False, denoise=WEIGHTS))
    assert prepared.first is not None
    moved = to_ase(prepared.coordinates.structures(prepared.first[None]))[0]
    assert symmetry(moved) == symmetry(given) == group
    np.testing.assert_allclose(moved.cell.array, given.cell.array, atol=1e-12)
    right, before, after = (from_ase([atoms]) for atoms in (known(name, true), given, moved))
    assert rms_displacement(right, after) < 0.5 * rms_displacement(right, before)


def test_the_network_alone_breaks_the_symmetry_of_oblique_cells() -> None:
    given = known("wurtzite", 0.44)
    displacements = denoising_displacements(from_ase([given]), load_denoiser(WEIGHTS))
    assert displacements is not None
    given.set_positions(given.positions + displacements.numpy())
    assert symmetry(given) < 186


def test_elements_that_were_not_learned_are_left_alone() -> None:
    denoiser = load_denoiser(WEIGHTS)
    assert denoising_displacements(from_ase([bulk("Po", "sc", 3.35)]), denoiser) is None
    learned = denoiser.learned_elements.nonzero()[:, 0].tolist()
    assert {1, 8, 26, 83, 94} <= set(learned) and not {0, 84, 85, 87, 88, 118} & set(learned)


def rattled_copper() -> Atoms:
    atoms = bulk("Cu", "fcc", 3.6, cubic=True)
    atoms.rattle(0.15, seed=1)
    return atoms


def test_a_relaxation_starts_from_the_pass_where_that_lowers_the_energy() -> None:
    given = from_ase([rattled_copper()])
    ended = {
        weights: relax(
            given, emt_energies(), RelaxationSettings(symmetry=False, steps=0, cell=False, denoise=weights)
        )
        for weights in (None, WEIGHTS)
    }
    plain, passed = ended[None], ended[WEIGHTS]
    assert plain.before == passed.before and (plain.denoised, passed.denoised) == (False, True)
    assert plain.after is not None and passed.after is not None
    assert passed.after.energy < plain.after.energy
    sites = from_ase([bulk("Cu", "fcc", 3.6, cubic=True)])
    assert passed.structure is not None
    assert rms_displacement(sites, passed.structure) < 0.5 * rms_displacement(sites, given)


def test_a_pass_that_raises_the_energy_is_not_taken() -> None:
    # perfect copper but for a strain, which leaves nothing to the atoms: every pass can only raise its energy
    atoms = bulk("Cu", "fcc", 3.6, cubic=True)
    settings = RelaxationSettings(symmetry=False, primitive=False, steps=0, denoise=WEIGHTS)
    result = relax(from_ase([atoms]), emt_energies(), settings)
    assert not result.denoised and result.structure is not None
    assert torch.equal(result.structure.fractional, from_ase([atoms]).fractional)


def test_weights_that_move_no_atoms_are_refused(tmp_path: Path) -> None:
    tensors, card = load_weights(WEIGHTS, KIND)
    save_weights(tmp_path / "lattice.safetensors", tensors, {**card, "task": "lattice"})
    with pytest.raises(ConfigError, match="task=lattice and move no atoms"):
        load_denoiser(str(tmp_path / "lattice.safetensors"))
    with pytest.raises(WeightsError, match=r"structure_energy.*denoiser.*needed"):
        load_denoiser("alignn")
    with pytest.raises(WeightsError, match="no weights 'denoiser_x'; shipped are"):
        load_denoiser("denoiser_x")
