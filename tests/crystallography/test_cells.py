from __future__ import annotations

import moyopy
import numpy as np
import pytest
import torch
from moyopy.interface import MoyoAdapter
from pymatgen.core import Lattice, Structure

from gflownet_crystal.crystallography.cells import (
    CENTRINGS,
    LATTICE_POINTS,
    PRIMITIVE_BASES,
    centring_of_group,
    centring_translations,
    lattice_points,
    primitive_basis,
    to_primitive_cell,
    to_primitive_fractional,
)
from gflownet_crystal.crystallography.wyckoff import group_operations

PROTOTYPES = {
    # group: lattice, and the general enough sites of one or two elements (single origin, so no choice matters)
    15: (Lattice.monoclinic(9.1, 5.2, 6.3, 104.0), [[0.0, 0.17, 0.25], [0.21, 0.33, 0.08]]),
    38: (Lattice.orthorhombic(4.1, 6.7, 8.2), [[0.0, 0.0, 0.0], [0.5, 0.22, 0.31]]),
    63: (Lattice.orthorhombic(4.0, 11.3, 5.1), [[0.0, 0.11, 0.25], [0.0, 0.36, 0.25]]),
    166: (Lattice.hexagonal(4.38, 30.5), [[0.0, 0.0, 0.4], [0.0, 0.0, 0.212]]),
    194: (Lattice.hexagonal(3.19, 5.19), [[1 / 3, 2 / 3, 0.25], [0.0, 0.0, 0.0]]),
    225: (Lattice.cubic(5.64), [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    229: (Lattice.cubic(4.2), [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5]]),
}


@pytest.fixture(params=PROTOTYPES, ids=str)
def dataset(request: pytest.FixtureRequest) -> moyopy.MoyoDataset:
    lattice, sites = PROTOTYPES[request.param]
    structure = Structure.from_spacegroup(request.param, lattice, ["Na", "Cl"], sites)
    found = moyopy.MoyoDataset(MoyoAdapter.from_structure(structure), symprec=1e-3)
    assert found.number == request.param
    return found


def _cell(cell: moyopy.Cell) -> torch.Tensor:
    return torch.tensor(np.array(cell.basis), dtype=torch.float64)[None]


def test_primitive_cells_are_those_of_moyo(dataset: moyopy.MoyoDataset) -> None:
    group = torch.tensor([dataset.number])
    expected = _cell(dataset.prim_std_cell)
    primitive = to_primitive_cell(_cell(dataset.std_cell), group)
    torch.testing.assert_close(primitive, expected, atol=1e-8, rtol=0)


def test_primitive_sites_are_those_of_moyo(dataset: moyopy.MoyoDataset) -> None:
    conventional, primitive = dataset.std_cell, dataset.prim_std_cell
    points = int(lattice_points(torch.tensor([dataset.number])))
    assert len(conventional.numbers) == points * len(primitive.numbers)
    groups = torch.full((len(conventional.numbers),), dataset.number)
    fractional = to_primitive_fractional(torch.tensor(conventional.positions, dtype=torch.float64), groups)
    found = _sites(fractional.numpy(), conventional.numbers)
    expected = _sites(np.array(primitive.positions), primitive.numbers)
    assert set(found) == set(expected)
    assert len(found) == points * len(expected)


def _sites(fractional: np.ndarray, numbers: list[int]) -> list[tuple[int, ...]]:
    rounded = np.rint(np.asarray(fractional) * 1e5).astype(np.int64) % 10**5
    return [(number, *row) for number, row in zip(numbers, rounded.tolist(), strict=True)]


def test_centring_translations_are_the_pure_translations_of_the_groups() -> None:
    for group in range(1, 231):
        operations = group_operations(group)
        pure = operations[(operations[:, :, :3] == np.eye(3)).all(axis=(1, 2)), :, 3]
        expected = centring_translations(CENTRINGS[centring_of_group[group]]).numpy()
        assert sorted(_sites(pure, [0] * len(pure))) == sorted(_sites(expected, [0] * len(expected)))
        assert len(pure) == len(expected) == int(lattice_points(torch.tensor([group])))


def test_bases_divide_the_volume_by_the_lattice_points() -> None:
    torch.testing.assert_close(torch.linalg.det(PRIMITIVE_BASES), 1.0 / LATTICE_POINTS.double())


def test_sites_go_there_and_back() -> None:
    groups = torch.arange(1, 231)
    primitive = torch.rand(230, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    conventional = torch.einsum("ni,nij->nj", primitive, primitive_basis(groups))
    back = to_primitive_fractional(conventional, groups)
    difference = back - primitive
    torch.testing.assert_close(difference, difference.round(), atol=1e-12, rtol=0)


def test_sites_of_one_centring_class_fall_together() -> None:
    for group in (5, 38, 79, 22, 146):
        translations = centring_translations(CENTRINGS[centring_of_group[group]])
        sites = torch.tensor([0.137, 0.421, 0.873], dtype=torch.float64) + translations
        primitive = to_primitive_fractional(sites, torch.full((len(sites),), group))
        torch.testing.assert_close(primitive, primitive[:1].expand_as(primitive))
