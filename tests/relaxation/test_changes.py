"""Distances that atoms and cells moved, against deformations made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from gflownet_crystal.relaxation.changes import changes, displacements, max_strain, rms_displacement
from gflownet_crystal.structures.convert import from_arrays, from_ase


def test_strain_is_the_stretch_whatever_the_rotation() -> None:
    rng = np.random.default_rng(0)
    cell = rng.normal(size=(3, 3)) + 4 * np.eye(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    stretch = np.diag([1.1, 1.0, 0.93])
    assert max_strain(cell, cell @ stretch @ rotation) == pytest.approx(0.1)
    assert max_strain(cell, cell @ rotation) == pytest.approx(0.0, abs=1e-12)


def test_displacement_ignores_shifts_and_lattice_vectors() -> None:
    before = from_ase([bulk("Cu", "fcc", 4.0, cubic=True)])
    shift = np.array([0.3, 0.1, 0.2]) + np.array([[0, 0, 0], [1, 0, 0], [0, -2, 0], [0, 0, 0]])
    moved = before.fractional.numpy() + shift
    moved[0, 0] += 0.04
    after = from_arrays(before.cell.numpy(), [before.atomic_numbers.numpy()], [moved])
    # one atom by 0.16 Å: three quarters of it, the others by a quarter the other way
    expected = np.sqrt((0.12**2 + 3 * 0.04**2) / 4)
    assert rms_displacement(before, after) == pytest.approx(expected)
    assert displacements(before, after).tolist() == pytest.approx([0.12, 0.04, 0.04, 0.04])


def test_cells_change_by_what_was_done_to_them() -> None:
    before = from_ase([bulk("Cu", "fcc", 4.0, cubic=True)])
    cell = np.array([[4.4, 0, 0], [0, 4, 0], [0, 4 * np.sin(0.1), 4 * np.cos(0.1)]])
    found = changes(before, from_arrays(cell[None], [before.atomic_numbers], [before.fractional]))
    assert found["volume_change"] == pytest.approx(1.1 * np.cos(0.1) - 1)
    assert found["length_change"] == pytest.approx(0.1)
    assert found["angle_change"] == pytest.approx(np.degrees(0.1))
    assert found["max_displacement"] == pytest.approx(0.0, abs=1e-12)
