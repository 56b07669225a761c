"""Flats of Wyckoff positions against the operations, and projectors against least squares in Cartesian coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gflownet_crystal.crystallography.lattice import complete_parameters, parameters_to_matrix
from gflownet_crystal.crystallography.site_projectors import site_flats, site_projectors
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_table


def operations_of(group: int) -> Tensor:
    """Rows of a group's operations in the table."""
    table = wyckoff_table()
    return torch.from_numpy(np.flatnonzero(np.repeat(table.group, table.multiplicity.astype(int)) == group))


def cell_of(group: int) -> Tensor:
    """A general cell of a group's lattice system."""
    system = torch.tensor([int(lattice_system_of_group[group])])
    full = complete_parameters(
        system, torch.tensor([[4.2, 5.3, 9.1, 83.0, 107.0, 95.0]], dtype=torch.float64)
    )
    return parameters_to_matrix(full[:, :3], full[:, 3:])[0]


def test_parameters_of_every_operation_are_found_again() -> None:
    flats = site_flats()
    operation = torch.arange(len(flats.rotation))
    drawn = (
        torch.rand(len(operation), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4 - 2
    )
    points = torch.einsum("pij,pj->pi", flats.rotation, drawn) + flats.translation
    shifted = points + torch.randint(-3, 4, points.shape, generator=torch.Generator().manual_seed(1))
    found, miss = flats.parameters(shifted, operation)
    assert miss.abs().max() < 1e-12
    made = torch.einsum("pij,pj->pi", flats.rotation, found) + flats.translation
    difference = made - points
    assert (difference - difference.round()).abs().max() < 1e-12
    unread = ~flats.rotation.any(1)
    assert not found[unread].any()


def test_points_off_a_flat_miss_it() -> None:
    flats = site_flats()
    freedom = np.repeat(wyckoff_table().degrees_of_freedom, wyckoff_table().multiplicity.astype(int))
    operation = torch.from_numpy(np.flatnonzero(freedom < 3))
    # no position with two free coordinates or fewer holds a point in general position
    point = torch.tensor([0.1234567, 0.2718282, 0.3819660], dtype=torch.float64)
    miss = flats.parameters(point.expand(len(operation), 3), operation)[1]
    assert miss.abs().amax(1).min() > 1e-3


@pytest.mark.parametrize("group", [2, 14, 62, 99, 143, 146, 160, 166, 167, 176, 186, 189, 191, 194, 216, 227])
def test_projectors_are_least_squares_in_angstrom(group: int) -> None:
    operation = operations_of(group)
    rotation = site_flats().rotation[operation]
    cell = cell_of(group).expand(len(rotation), 3, 3)
    moved = torch.randn(len(rotation), 3, generator=torch.Generator().manual_seed(group), dtype=torch.float64)
    change = torch.einsum("pij,pj->pi", site_projectors(cell, rotation), moved)
    for one, matrix, displacement in zip(rotation.numpy(), change.numpy(), moved.numpy(), strict=True):
        # columns of the Cartesian map x -> (R x) cell
        cartesian = (one.T @ cell[0].numpy()).T
        expected = np.linalg.lstsq(cartesian, displacement @ cell[0].numpy(), rcond=1e-10)[0]
        assert np.allclose(matrix, expected, atol=1e-9)


def test_the_plain_inverse_is_wrong_in_hexagonal_axes() -> None:
    # (x, 2x, z) of P6_3/mmc: what moves an atom along b alone moves it less along its flat than R's inverse says
    flats = site_flats()
    operation = operations_of(194)
    rotation = flats.rotation[operation]
    is_oblique = (rotation[:, :, 0] == torch.tensor([1.0, 2.0, 0.0])).all(1) & rotation[:, 2, 2].bool()
    row = int(is_oblique.nonzero()[0, 0])
    projector = site_projectors(cell_of(194)[None], rotation[row : row + 1])[0]
    moved = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    assert torch.allclose((projector @ moved)[0], torch.tensor(0.5, dtype=torch.float64))
    assert torch.allclose((flats.inverse[operation][row] @ moved)[0], torch.tensor(0.4, dtype=torch.float64))


def test_projecting_twice_is_projecting_once_and_what_is_left_is_upright() -> None:
    operation = operations_of(167)
    rotation = site_flats().rotation[operation]
    cell = cell_of(167).expand(len(rotation), 3, 3)
    onto = rotation @ site_projectors(cell, rotation)
    assert torch.allclose(onto @ onto, onto, atol=1e-12)
    metric = cell @ cell.mT
    assert torch.allclose(metric @ onto, (metric @ onto).mT, atol=1e-9)
