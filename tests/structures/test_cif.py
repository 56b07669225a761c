"""CIF texts as pymatgen, ASE and an independent reading of the operations see them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import ase.io
import pytest
import torch
from pymatgen.core import Structure
from pymatgen.core.operations import SymmOp

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.wyckoff import group_operations
from gflownet_crystal.structures.cif import operation_to_text, structures_to_cif
from gflownet_crystal.structures.convert import from_ase, from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures, symmetry_error


@pytest.fixture(scope="module")
def conventional(crystals: list[Structure]) -> StructureBatch:
    return conventional_structures(from_pymatgen(crystals))


def test_both_parsers_read_every_atom_and_the_cell(conventional: StructureBatch, tmp_path: Path) -> None:
    expected = conventional.specs()
    for row, text in enumerate(structures_to_cif(conventional)):
        path = tmp_path / "crystal.cif"
        path.write_text(text)
        with warnings.catch_warnings():
            # pymatgen reports that it sets 0.333333333333 to 1/3
            warnings.simplefilter("ignore")
            read = [from_pymatgen([Structure.from_file(path)]), from_ase([ase.io.read(path)])]
        for one in read:
            specs = one.specs()
            assert specs.composition[0].equal(expected.composition[row])
            torch.testing.assert_close(specs.lengths[0], expected.lengths[row], rtol=0, atol=1e-9)
            torch.testing.assert_close(specs.angles[0], expected.angles[row], rtol=0, atol=1e-7)
            claimed = StructureBatch(
                one.cell,
                one.atomic_numbers,
                one.fractional,
                one.structure_index,
                conventional.space_group[row : row + 1],
            )
            assert symmetry_error(claimed).item() < 1e-3


def test_ase_finds_the_group_number(conventional: StructureBatch, tmp_path: Path) -> None:
    for group, text in zip(conventional.space_group.tolist(), structures_to_cif(conventional), strict=True):
        path = tmp_path / "crystal.cif"
        path.write_text(text)
        assert ase.io.read(path).info["spacegroup"].no == group


@pytest.mark.parametrize("group", [1, 14, 70, 152, 166, 194, 227, 230])
def test_operations_are_read_back_by_pymatgen(group: int) -> None:
    for operation in group_operations(group):
        read = SymmOp.from_xyz_str(operation_to_text(operation))
        torch.testing.assert_close(torch.from_numpy(read.rotation_matrix), torch.from_numpy(operation[:, :3]))
        torch.testing.assert_close(
            torch.from_numpy(read.translation_vector), torch.from_numpy(operation[:, 3])
        )


def test_all_operations_of_the_group_are_listed(conventional: StructureBatch) -> None:
    for group, text in zip(conventional.space_group.tolist(), structures_to_cif(conventional), strict=True):
        listed = re.findall(
            r"^\d+ '([^']+)'$", text.split("_gflownet_crystal_symop_xyz")[1], flags=re.MULTILINE
        )
        assert len(set(listed)) == len(group_operations(group))


def test_structures_without_a_group_are_refused(crystals: list[Structure]) -> None:
    with pytest.raises(DataError, match="claims no space group"):
        structures_to_cif(from_pymatgen(crystals[:1]))
