"""Primitive cells: the same crystals by pymatgen, with as few atoms as the centring says."""

from __future__ import annotations

from dataclasses import replace

import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures


def test_primitive_cells_hold_the_same_crystals(crystals: list[Structure]) -> None:
    whole = conventional_structures(from_pymatgen(crystals))
    found = to_primitive(whole)
    points = lattice_points(whole.space_group)
    assert len(points.unique()) == 4
    assert found.n_atoms.mul(points).equal(whole.n_atoms)
    torch.testing.assert_close(found.volume * points, whole.volume)
    assert found.space_group.equal(whole.space_group.where(points == 1, 0))
    matcher = StructureMatcher(
        ltol=1e-4, stol=1e-4, angle_tol=1e-2, primitive_cell=False, attempt_supercell=False
    )
    for mine, crystal in zip(to_pymatgen(found), to_pymatgen(whole), strict=True):
        assert matcher.fit(mine, crystal.get_primitive_structure(tolerance=1e-3))


def test_what_claims_no_group_or_lacks_its_translations_stays(crystals: list[Structure]) -> None:
    whole = conventional_structures(from_pymatgen(crystals))
    unclaimed = StructureBatch(
        whole.cell,
        whole.atomic_numbers,
        whole.fractional,
        whole.structure_index,
        torch.zeros_like(whole.space_group),
    )
    assert to_primitive(unclaimed).fractional.equal(unclaimed.fractional)
    moved = whole.fractional.clone()
    # rock salt, its second atom beside the place that a centring translation gives it
    moved[1] += 0.3
    broken = StructureBatch(
        whole.cell, whole.atomic_numbers, moved, whole.structure_index, whole.space_group
    )[:2]
    found = to_primitive(broken)
    assert found.n_atoms.tolist() == [8, 2]
    assert found.fractional[:8].equal(moved[:8])
    assert found.space_group.tolist() == [225, 0]


def test_a_primitive_cell_beside_the_group_of_its_crystal_stays(crystals: list[Structure]) -> None:
    whole = conventional_structures(from_pymatgen(crystals))
    group = whole.space_group
    reduced = replace(to_primitive(whole), space_group=group)
    doubled = from_pymatgen([one * [2, 1, 1] for one in to_pymatgen(reduced)])
    for claimed in (reduced, replace(doubled, space_group=group)):
        found = to_primitive(claimed)
        assert found.fractional.equal(claimed.fractional) and found.space_group.equal(group)


def test_an_atom_off_its_place_keeps_a_crystal_whole() -> None:
    copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]])
    copper.translate_sites([2], [4e-3, 0.0, 0.0])
    found = to_primitive(replace(from_pymatgen([copper]), space_group=torch.tensor([225])))
    assert found.n_atoms.tolist() == [4]
    copper.translate_sites([2], [-4e-3 + 1e-5, 0.0, 0.0])
    found = to_primitive(replace(from_pymatgen([copper]), space_group=torch.tensor([225])))
    assert found.n_atoms.tolist() == [1]
