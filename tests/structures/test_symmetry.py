"""Groups and conventional cells against spglib, symmetry errors against displacements of known size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import spglib
import torch
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.convert import from_arrays, from_pymatgen, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import (
    conventional_structures,
    equivalent_atoms,
    find_space_groups,
    symmetry_error,
)


@pytest.fixture(scope="module")
def conventional(crystals: list[Structure]) -> StructureBatch:
    return conventional_structures(from_pymatgen([crystal.get_primitive_structure() for crystal in crystals]))


def test_groups_are_those_of_spglib(crystals: list[Structure]) -> None:
    expected = [SpacegroupAnalyzer(crystal, symprec=0.05).get_space_group_number() for crystal in crystals]
    assert find_space_groups(from_pymatgen(crystals)).tolist() == expected


def test_conventional_cells_are_those_of_spglib(
    crystals: list[Structure], conventional: StructureBatch
) -> None:
    specs = conventional.specs()
    for row, crystal in enumerate(crystals):
        cell = (crystal.lattice.matrix, crystal.frac_coords, crystal.atomic_numbers)
        lattice, _, numbers = spglib.standardize_cell(cell, symprec=0.05)
        expected = np.bincount(numbers, minlength=119)
        np.testing.assert_array_equal(specs.composition[row].numpy(), expected)
        assert specs.volume[row].item() == pytest.approx(abs(np.linalg.det(lattice)), rel=1e-6)
        np.testing.assert_allclose(specs.lengths[row].numpy(), np.linalg.norm(lattice, axis=1), rtol=1e-6)


def test_conventional_cells_have_every_operation_of_their_group(conventional: StructureBatch) -> None:
    assert symmetry_error(conventional).max() < 1e-10


def test_conventional_structures_are_the_same_crystals(
    crystals: list[Structure], conventional: StructureBatch
) -> None:
    assert all(ours.matches(theirs) for ours, theirs in zip(to_pymatgen(conventional), crystals, strict=True))


def test_the_error_is_the_size_of_a_displacement(conventional: StructureBatch) -> None:
    rock_salt = conventional[0:1]
    moved = rock_salt.fractional.clone()
    moved[0, 0] += 0.02 / float(rock_salt.cell[0, 0, 0])
    # an operation that turns the displacement around brings the atom's image twice as far from it
    error = symmetry_error(replace(rock_salt, fractional=moved)).item()
    assert 0.02 <= error <= 0.04 + 1e-9


def test_the_error_sees_a_cell_without_the_symmetry(conventional: StructureBatch) -> None:
    rock_salt = conventional[0:1]
    stretched = rock_salt.cell * torch.tensor([1.0, 1.0, 1.01], dtype=torch.float64)
    error = symmetry_error(replace(rock_salt, cell=stretched)).item()
    assert error == pytest.approx(0.01 * float(rock_salt.cell[0, 0, 0]), rel=0.05)


def test_the_error_sees_a_wrong_element(conventional: StructureBatch) -> None:
    rock_salt = conventional[0:1]
    numbers = rock_salt.atomic_numbers.clone()
    numbers[0] = 19
    assert symmetry_error(replace(rock_salt, atomic_numbers=numbers)).item() > 1.0


def test_cells_about_as_thin_as_the_tolerance_are_not_searched() -> None:
    cell = np.array([[[5.95, 0.0, 0.0], [-0.02, 5.88, 0.0], [-0.06, 0.02, 0.25]]])
    thin = from_arrays(cell, [[8, 8, 26]], [[[0.0, 0.0, 0.0], [0.3, 0.4, 0.1], [0.7, 0.2, 0.6]]])
    assert find_space_groups(thin, 0.05).tolist() == [0]
    assert find_space_groups(thin, 0.01).tolist() == [1]


def test_equivalent_atoms_are_those_of_spglib(crystals: list[Structure]) -> None:
    for crystal in crystals:
        cell, points, numbers = crystal.lattice.matrix, crystal.frac_coords, np.array(crystal.atomic_numbers)
        found = equivalent_atoms(cell, numbers, points, 1e-3)
        expected = spglib.get_symmetry_dataset((cell, points, numbers), 1e-3).equivalent_atoms
        assert (found[:, None] == found).tolist() == (expected[:, None] == expected).tolist()
    # without any symmetry each stands for itself
    moved = points + np.random.default_rng(0).normal(0.0, 0.02, points.shape)
    assert equivalent_atoms(cell, numbers, moved, 1e-3).tolist() == list(range(len(numbers)))


def test_structures_without_a_group_are_refused(crystals: list[Structure]) -> None:
    with pytest.raises(DataError, match="claims no space group"):
        symmetry_error(from_pymatgen(crystals[:2]))


@pytest.mark.parametrize("place", [1e308, -1e308, float("inf"), float("nan")])
def test_a_search_that_panics_finds_no_group(place: float) -> None:
    # far coordinates end moyo in a panic of its Rust code, which is no Exception
    batch = from_arrays([np.eye(3) * 4.0], [[11, 17]], [[[0, 0, 0], [place, 0.5, 0.5]]])
    assert find_space_groups(batch).tolist() == [0]
    assert equivalent_atoms(np.eye(3) * 4.0, np.array([11, 17]), batch.fractional.numpy()).tolist() == [0, 1]
    with pytest.raises(DataError, match="no symmetry found"):
        conventional_structures(batch)
