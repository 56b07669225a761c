"""Symmetry that a relaxation keeps: counts of free coordinates from crystallography, and groups by spglib."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.relaxation.symmetry import KeptSymmetry

RUTILE = crystal(
    ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
)
WURTZITE = crystal(
    ["Zn", "O"],
    [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.382)],
    spacegroup=186,
    cellpar=[3.25, 3.25, 5.207, 90, 90, 120],
)
MONOCLINIC = crystal(
    ["Zr", "O", "O"],
    [(0.275, 0.04, 0.208), (0.07, 0.332, 0.345), (0.45, 0.757, 0.479)],
    spacegroup=14,
    cellpar=[5.15, 5.21, 5.32, 90, 99.2, 90],
)


def kept(atoms: Atoms, symprec: float = 0.01) -> KeptSymmetry:
    return KeptSymmetry.of(atoms.cell.array, atoms.numbers, atoms.get_scaled_positions(), symprec)


def group(cell: np.ndarray, numbers: np.ndarray, points: np.ndarray) -> int:
    return spglib.get_symmetry_dataset((cell, points, numbers), 1e-6).number


@pytest.mark.parametrize(
    ("atoms", "free", "strains"),
    # free parameters of the sites, and of wurtzite's polar axis for each of both; of the lattice systems
    [(RUTILE, 1, 2), (WURTZITE, 2, 2), (MONOCLINIC, 9, 4), (bulk("Cu", "fcc", 3.6), 0, 1)],
)
def test_as_many_coordinates_move_as_the_sites_and_the_lattice_leave_free(
    atoms: Atoms, free: int, strains: int
) -> None:
    symmetry = kept(atoms)
    displacements, found = symmetry.displacements(), symmetry.strains()
    assert (displacements.shape[-1], found.shape[-1]) == (free, strains)
    for basis in (displacements, found):
        products = np.einsum("aif,aig->fg", basis, basis)
        np.testing.assert_allclose(products, np.eye(basis.shape[-1]), atol=1e-12)


@pytest.mark.parametrize("atoms", [RUTILE, WURTZITE, MONOCLINIC, bulk("Cu", "hcp", 2.56, c=4.2)])
def test_whatever_moves_along_them_keeps_the_group(atoms: Atoms) -> None:
    symmetry = kept(atoms)
    generator = np.random.default_rng(0)
    displacements, strains = symmetry.displacements(), symmetry.strains()
    moved = displacements @ generator.normal(size=displacements.shape[-1]) * 0.05
    cell = symmetry.cell @ (np.eye(3) + strains @ generator.normal(size=strains.shape[-1]) * 0.02)
    points = symmetry.fractional + moved @ np.linalg.inv(symmetry.cell)
    before = group(atoms.cell.array, atoms.numbers, atoms.get_scaled_positions())
    assert group(cell, atoms.numbers, points) == before > 1


def test_a_crystal_near_its_symmetry_is_brought_to_it() -> None:
    given = MONOCLINIC.copy()
    given.rattle(0.01, seed=1)
    cell = given.cell.array @ (np.eye(3) + 0.001 * np.random.default_rng(1).normal(size=(3, 3)))
    points = given.get_scaled_positions()
    assert group(cell, given.numbers, points) == 1
    found = KeptSymmetry.of(cell, given.numbers, points, 0.1)
    assert group(found.cell, given.numbers, found.fractional) == 14
    assert np.abs((found.fractional - points) @ cell).max() < 0.05
    assert np.abs(found.cell - cell).max() < 0.05


def test_without_symmetry_everything_moves() -> None:
    symmetry = KeptSymmetry.none(MONOCLINIC.cell.array, MONOCLINIC.get_scaled_positions())
    assert symmetry.displacements().shape == (12, 3, 36) and symmetry.strains().shape == (3, 3, 6)


def test_a_cell_too_thin_for_the_tolerance_is_refused() -> None:
    thin = Atoms("Cu", cell=[3.0, 3.0, 0.2], pbc=True)
    with pytest.raises(DataError, match="no symmetry to keep"):
        kept(thin, 0.5)
