"""Errors that lattices made from a cube cannot avoid: closed forms."""

from __future__ import annotations

import pytest
import torch
from pymatgen.core import Lattice, Structure

from benchmarks.cube_symmetry import least_errors
from gflownet_crystal.structures.convert import from_pymatgen


def test_a_lattice_less_symmetric_than_its_positions_is_missed() -> None:
    # turning the third axis round leaves the positions, and makes alpha and beta 180 degrees less themselves
    lattice = Lattice.from_parameters(5.9, 5.9, 5.9, 137.8, 137.8, 61.2)
    places = [[0, 0, 0], [0.25, 0.75, 0.5], [0.75, 0.25, 0.5], [0.62, 0.62, 0], [0.38, 0.38, 0]]
    layered = Structure(lattice, ["Ca", "Zn", "Zn", "Si", "Si"], places)
    # positions that any exchange of axes leaves, in a tetragonal cell: 3 and 3 against 6
    tetragonal = Structure(Lattice.tetragonal(3.0, 6.0), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3])
    cubic = Structure(Lattice.cubic(4.1), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3])
    found = least_errors(from_pymatgen([layered, tetragonal, cubic]), 0.01)
    expected = [[0, 0, 0, 47.8, 47.8, 0], [1, 1, 1, 0, 0, 0], [0] * 6]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_positions_are_as_equal_as_the_tolerance_says() -> None:
    cell = Lattice.tetragonal(3.0, 6.0)
    structure = from_pymatgen([Structure(cell, ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.52]])])
    assert least_errors(structure, 0.001).max() < 1e-9
    assert least_errors(structure, 0.04)[0, :3].tolist() == pytest.approx([1.0, 1.0, 1.0])
