"""CIF texts as gemmi, pymatgen, ASE and spglib read them: same atoms, cell and group, in all 230 groups."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace

import ase.io
import gemmi
import numpy as np
import pytest
import spglib
import torch
from moyopy import Cell, MoyoDataset
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser

from gflownet_crystal.crystallography.wyckoff import group_operations, wyckoff_positions
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.cif_reading import read_cif
from gflownet_crystal.structures.convert import from_arrays, from_pymatgen, iterate_arrays
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.structures.random_crystals import crystal_of_all_positions, random_crystal

_OPERATIONS = "_space_group_symop_operation_xyz"
Arrays = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
# an atom may move by the rounding of eight decimals in a cell of some 20 Å, a cell by that of six
ATOM, CELL = 3e-6, 1e-6


def by_gemmi(text: str) -> tuple[Arrays, int]:
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
    sites = small.get_all_unit_cell_sites()
    cell = np.array(small.cell.orth.mat.tolist()).T
    numbers = np.array([site.element.atomic_number for site in sites])
    return (cell, numbers, np.array([site.fract.tolist() for site in sites])), small.spacegroup.number


def by_pymatgen(text: str) -> tuple[Arrays, int]:
    parser = CifParser.from_str(text)
    (structure,) = parser.parse_structures(primitive=False)
    assert parser.warnings == []
    arrays = structure.lattice.matrix, np.array(structure.atomic_numbers), structure.frac_coords
    operations = [gemmi.Op(operation.as_xyz_str()) for operation in parser.symmetry_operations]
    return arrays, gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operations)).number


def by_ase(text: str) -> tuple[Arrays, int]:
    atoms = ase.io.read(io.StringIO(text), format="cif")
    arrays = atoms.cell.array, atoms.numbers, atoms.get_scaled_positions()
    return arrays, atoms.info["spacegroup"].no


def by_own(text: str) -> tuple[Arrays, int]:
    crystal = read_cif(text, "text")
    return (crystal.cell, crystal.atomic_numbers, crystal.frac_coords), crystal.space_group


READERS = (by_gemmi, by_pymatgen, by_ase, by_own)


def check_same(crystal: StructureBatch, read: Arrays) -> None:
    """Each atom of the crystal is one that was read, and no other one."""
    ((cell, numbers, points),) = iterate_arrays(crystal)
    lengths = np.linalg.norm(cell, axis=1)
    np.testing.assert_allclose(np.linalg.norm(read[0], axis=1), lengths, rtol=0, atol=CELL)
    np.testing.assert_allclose(read[0] @ read[0].T, cell @ cell.T, rtol=0, atol=40 * CELL)
    assert sorted(read[1]) == sorted(numbers)
    difference = points[:, None] - read[2]
    distance = np.linalg.norm((difference - difference.round()) @ cell, axis=2)
    distance[numbers[:, None] != read[1]] = np.inf
    assert distance.min(axis=1).max() < ATOM
    assert len(set(distance.argmin(axis=1))) == len(numbers)


@pytest.mark.parametrize("first", range(1, 231, 23))
def test_every_reader_finds_the_crystal(first: int) -> None:
    for group in range(first, first + 23):
        crystal = random_crystal(group)
        (text,) = structures_to_cif(crystal)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # spglib speaks of its own future
            warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING")
            for reader in READERS:
                arrays, found = reader(text)
                assert found == group, reader
                check_same(crystal, arrays)
        cell, numbers, points = by_gemmi(text)[0]
        dataset = spglib.get_symmetry_dataset((cell, points, numbers), symprec=1e-4)
        assert dataset is not None and dataset.number == group
        assert (
            MoyoDataset(Cell(cell.tolist(), points.tolist(), numbers.tolist()), symprec=1e-4).number == group
        )


@pytest.mark.parametrize("first", range(1, 231, 46))
def test_letters_and_multiplicities_are_those_of_the_table(first: int) -> None:
    for group in range(first, first + 46):
        crystal = crystal_of_all_positions(group)
        (text,) = structures_to_cif(crystal)
        block = gemmi.cif.read_string(text).sole_block()
        tags = ["label", "symmetry_multiplicity", "Wyckoff_symbol"]
        rows = [tuple(row) for row in block.find("_atom_site_", tags)]
        expected = [(position.letter, position.multiplicity) for position in wyckoff_positions(group)]
        assert sorted((letter, int(size)) for _, size, letter in rows) == sorted(expected)
        assert len({label for label, *_ in rows}) == len(rows)
        check_same(crystal, by_gemmi(text)[0])


@pytest.mark.parametrize("group", [1, 14, 48, 70, 146, 152, 166, 194, 227, 230])
def test_the_group_is_named_in_all_ways(group: int) -> None:
    (text,) = structures_to_cif(random_crystal(group))
    block = gemmi.cif.read_string(text).sole_block()
    tags = "_space_group_IT_number", "_space_group_name_H-M_alt", "_space_group_name_Hall"
    number, symbol, hall = (gemmi.cif.as_string(block.find_value(tag)) for tag in tags)
    setting = gemmi.find_spacegroup_by_name(symbol)
    assert int(number) == group == setting.number and setting.is_reference_setting()
    listed = [gemmi.Op(gemmi.cif.as_string(text)) for text in block.find_values(_OPERATIONS)]
    own = {(tuple(op[:, :3].ravel()), tuple(np.rint(24 * op[:, 3]) % 24)) for op in group_operations(group)}
    read = {(tuple(np.ravel(op.rot) / 24.0), tuple(np.array(op.tran) % 24.0)) for op in listed}
    assert read == own and len(listed) == len(own)
    assert {op.triplet() for op in gemmi.symops_from_hall(hall)} == {op.triplet() for op in listed}


def test_atoms_on_special_positions_stand_there_exactly() -> None:
    # 12k of P63/mmc is x, 2x, z: eight decimals of x double to those of y
    position = next(item for item in wyckoff_positions(194) if item.letter == "k")
    points = position.orbit(np.array([0.1234567891234, 0.0, 0.0987654321987]))
    cell = conventional_cell(7.0, 9.0)
    crystal = from_arrays([cell], [np.full(12, 12)], [points], [194])
    block = gemmi.cif.read_string(structures_to_cif(crystal)[0]).sole_block()
    ((x, y, z),) = block.find("_atom_site_fract_", ["x", "y", "z"])
    assert (x, y, z) == ("0.12345679", "0.24691358", "0.09876543")


def conventional_cell(a: float, c: float) -> NDArray[np.float64]:
    return np.array([[a, 0.0, 0.0], [-a / 2, a * np.sqrt(0.75), 0.0], [0.0, 0.0, c]])


def test_formula_units_and_volume() -> None:
    lattice = np.eye(3) * 5.64
    halite = Structure.from_spacegroup("Fm-3m", lattice, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    (text,) = structures_to_cif(conventional_structures(from_pymatgen([halite])))
    block = gemmi.cif.read_string(text).sole_block()
    values = {tag: gemmi.cif.as_string(block.find_value(tag)) for tag in (
        "_chemical_formula_sum", "_cell_formula_units_Z", "_cell_volume", "_cell_length_a", "_cell_angle_beta",
    )}  # fmt: skip
    assert values == {
        "_chemical_formula_sum": "Cl1 Na1",
        "_cell_formula_units_Z": "4",
        "_cell_volume": f"{5.64**3:.4f}",
        "_cell_length_a": "5.640000",
        "_cell_angle_beta": "90.000000",
    }


def listed_in_p1(text: str) -> tuple[int, str]:
    """Number of sites of a text in P1, and why they are all listed."""
    block = gemmi.cif.read_string(text).sole_block()
    assert block.find_value("_space_group_IT_number") == "1"
    assert list(block.find_values(_OPERATIONS)) == ["x,y,z"]
    said = block.find_value("_atom_sites_special_details")
    return len(block.find_values("_atom_site_label")), gemmi.cif.as_string(said) if said else ""


def _shifted(crystal: StructureBatch) -> StructureBatch:
    points = crystal.fractional.clone()
    points[0, 0] += 0.003 / crystal.cell[0, 0, 0]
    return replace(crystal, fractional=points)


def _exchanged(crystal: StructureBatch) -> StructureBatch:
    numbers = crystal.atomic_numbers.clone()
    numbers[0] = 79
    return replace(crystal, atomic_numbers=numbers)


def _lacking(crystal: StructureBatch) -> StructureBatch:
    ((cell, numbers, points),) = iterate_arrays(crystal)
    return from_arrays([cell], [numbers[1:]], [points[1:]], [136])


def _stretched(crystal: StructureBatch) -> StructureBatch:
    return replace(crystal, cell=crystal.cell * torch.tensor([1.001, 1.0, 1.0])[None, :, None])


def _of_another_group(crystal: StructureBatch) -> StructureBatch:
    return replace(crystal, space_group=torch.tensor([139]))


@pytest.mark.parametrize("change", [_shifted, _exchanged, _lacking, _stretched, _of_another_group])
def test_a_group_that_the_atoms_do_not_have_is_not_claimed(
    change: Callable[[StructureBatch], StructureBatch],
) -> None:
    crystal = change(random_crystal(136))
    (text,) = structures_to_cif(crystal)
    sites, reason = listed_in_p1(text)
    assert sites == len(crystal.atomic_numbers) and "do not have the symmetry of" in reason
    for reader in READERS:
        arrays, found = reader(text)
        assert found == 1
        check_same(crystal, arrays)


def test_atoms_without_a_claim_are_all_listed(crystals: list[Structure]) -> None:
    for structure, text in zip(crystals, structures_to_cif(from_pymatgen(crystals)), strict=True):
        assert listed_in_p1(text) == (len(structure), "P 1 with all atoms: no space group is claimed")


def test_p1_is_a_claim_as_others_are() -> None:
    crystal = random_crystal(1)
    assert listed_in_p1(structures_to_cif(crystal)[0]) == (len(crystal.atomic_numbers), "")


def test_noise_below_the_tolerance_is_taken_off() -> None:
    crystal = random_crystal(225)
    noise = torch.from_numpy(np.random.default_rng(0).normal(scale=2e-5, size=(len(crystal.fractional), 3)))
    noisy = replace(crystal, fractional=crystal.fractional + noise / crystal.cell[0, 0, 0])
    arrays, found = by_gemmi(structures_to_cif(noisy)[0])
    assert found == 225 and len(arrays[1]) == len(crystal.atomic_numbers)


def test_atoms_of_an_orbit_that_readers_would_merge_are_listed_in_p1() -> None:
    # 0.3 Å beside the mirror plane: gemmi takes images within 0.4 Å for one atom on it
    points = wyckoff_positions(47)[0].orbit(np.array([0.015, 0.3, 0.4]))
    crystal = from_arrays([np.diag([10.0, 11.0, 12.0])], [np.full(8, 26)], [points], [47])
    (text,) = structures_to_cif(crystal)
    sites, reason = listed_in_p1(text)
    assert sites == 8 and "closer than 0.5 Å" in reason
    check_same(crystal, by_gemmi(text)[0])


def test_left_handed_vectors_keep_the_hand_of_the_crystal() -> None:
    # quartz of the other hand is the one whose coordinates are inverted
    right = random_crystal(152)
    turned = replace(right, cell=-right.cell, fractional=-right.fractional)
    assert turned.cell.det() < 0
    assert structures_to_cif(turned)[0] == structures_to_cif(right)[0]


def test_coordinates_near_a_third_are_not_rounded_by_pymatgen() -> None:
    near = [0.33334, 0.66665, 0.3333]
    crystal = from_arrays([np.diag([20.0, 21.0, 22.0])], [[3, 8]], [[near, [0.0, 0.1, 0.2]]], [1])
    arrays, _ = by_pymatgen(structures_to_cif(crystal)[0])
    check_same(crystal, arrays)


def test_texts_do_not_depend_on_the_batch() -> None:
    batch = [random_crystal(group) for group in (2, 62, 148, 227)]
    apart = list(itertools.chain.from_iterable(map(structures_to_cif, batch)))
    assert structures_to_cif(StructureBatch.cat(batch)) == apart
