from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from pymatgen.core import Lattice

from gflownet_crystal.crystallography.lattice import (
    FREE_PARAMETERS,
    SOURCE_PARAMETER,
    closure,
    complete_parameters,
    is_closed,
    matrix_to_parameters,
    parameters_to_matrix,
    volume,
)
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import group_operations

LENGTHS = st.tuples(*[st.floats(1.0, 60.0)] * 3)
ANGLE = st.floats(2.0, 178.0)
FRACTION = st.floats(0.02, 0.98)


def angle_interval(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Open interval of the third angle that closes a cell, in degrees, by the triangle inequality on the sphere."""
    total = first + second
    return (first - second).abs(), torch.minimum(total, 360.0 - total)


def _closed_angles(alpha: float, beta: float, fraction: float) -> torch.Tensor:
    first, second = torch.tensor([[alpha], [beta]], dtype=torch.float64)
    low, high = angle_interval(first, second)
    return torch.cat([first, second, low + fraction * (high - low)])


@given(lengths=LENGTHS, alpha=ANGLE, beta=ANGLE, fraction=FRACTION)
def test_matrix_and_volume_are_those_of_pymatgen(
    lengths: tuple[float, ...], alpha: float, beta: float, fraction: float
) -> None:
    angles = _closed_angles(alpha, beta, fraction)
    sides = torch.tensor(lengths, dtype=torch.float64)
    matrix = parameters_to_matrix(sides, angles)
    oracle = Lattice(matrix.numpy())
    np.testing.assert_allclose(oracle.lengths, lengths, rtol=1e-9)
    np.testing.assert_allclose(oracle.angles, angles, atol=1e-4)
    np.testing.assert_allclose(oracle.volume, volume(sides, angles), rtol=1e-6)
    assert torch.linalg.det(matrix) > 0
    found_lengths, found_angles = matrix_to_parameters(torch.tensor(oracle.matrix))
    np.testing.assert_allclose(found_lengths, lengths, rtol=1e-9)
    np.testing.assert_allclose(found_angles, angles, atol=1e-5)


def test_parameters_of_pymatgen_lattices_are_read_back() -> None:
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(200, 3, 3)) * 5.0
    lengths, angles = matrix_to_parameters(torch.tensor(matrices))
    oracles = [Lattice(matrix) for matrix in matrices]
    np.testing.assert_allclose(lengths, [oracle.lengths for oracle in oracles], rtol=1e-12)
    np.testing.assert_allclose(angles, [oracle.angles for oracle in oracles], atol=1e-6)
    np.testing.assert_allclose(volume(lengths, angles), [oracle.volume for oracle in oracles], rtol=1e-9)


@given(alpha=ANGLE, beta=ANGLE, gamma=st.floats(-10.0, 190.0))
def test_angles_close_exactly_inside_the_interval(alpha: float, beta: float, gamma: float) -> None:
    low, high = angle_interval(*torch.tensor([alpha, beta], dtype=torch.float64))
    assert 0.0 <= low < high <= 180.0
    assume(min(abs(gamma - low), abs(gamma - high)) > 1e-6)
    assert is_closed(torch.tensor([alpha, beta, gamma], dtype=torch.float64)) == bool(low < gamma < high)


@given(alpha=ANGLE, beta=ANGLE)
def test_cells_are_flat_at_the_ends_of_the_interval(alpha: float, beta: float) -> None:
    first, second = torch.tensor([alpha, beta], dtype=torch.float64)
    for end in angle_interval(first, second):
        assert abs(closure(torch.stack([first, second, end]))) < 1e-12


def test_closed_means_that_three_unit_vectors_exist() -> None:
    angles = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 180.0
    cosines = torch.cos(torch.deg2rad(angles))
    metric = torch.eye(3, dtype=torch.float64).repeat(len(angles), 1, 1)
    for (i, j), cosine in zip(((1, 2), (0, 2), (0, 1)), cosines.unbind(1), strict=True):
        metric[:, i, j] = metric[:, j, i] = cosine
    positive = torch.linalg.eigvalsh(metric)[:, 0] > 0
    assert torch.equal(is_closed(angles), positive)
    assert 0.1 < positive.double().mean() < 0.9


def _random_parameters(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    lengths = 3.0 + 5.0 * torch.rand(n, 3, generator=generator, dtype=torch.float64)
    angles = 75.0 + 30.0 * torch.rand(n, 3, generator=generator, dtype=torch.float64)
    return torch.cat([lengths, angles], dim=1)


def test_completed_cells_have_the_symmetry_of_every_group() -> None:
    systems = torch.tensor(lattice_system_of_group[1:])
    parameters = complete_parameters(systems, _random_parameters(230))
    matrices = parameters_to_matrix(parameters[:, :3], parameters[:, 3:]).numpy()
    for group, matrix in enumerate(matrices, start=1):
        rotations = group_operations(group)[:, :, :3]
        metric = matrix @ matrix.T
        images = rotations.transpose(0, 2, 1) @ metric @ rotations
        np.testing.assert_allclose(
            images, np.broadcast_to(metric, images.shape), atol=1e-9, err_msg=str(group)
        )


def test_number_of_free_parameters_is_that_of_the_invariant_metrics() -> None:
    basis = [np.eye(3)[:, [i]] @ np.eye(3)[[j]] for i in range(3) for j in range(i, 3)]
    for group in range(1, 231):
        rotations = group_operations(group)[:, :, :3]
        means = [(rotations.transpose(0, 2, 1) @ (m + m.T) @ rotations).mean(axis=0).ravel() for m in basis]
        dimension = np.linalg.matrix_rank(np.array(means))
        assert FREE_PARAMETERS[lattice_system_of_group[group]].sum() == dimension, group


def test_free_parameters_are_kept_and_only_they_matter() -> None:
    systems = torch.arange(6).repeat_interleave(20)
    free = FREE_PARAMETERS[systems]
    parameters = _random_parameters(len(systems))
    completed = complete_parameters(systems, parameters)
    assert torch.equal(completed[free], parameters[free])
    scrambled = torch.where(free, parameters, torch.nan)
    assert torch.equal(complete_parameters(systems, scrambled), completed)
    assert FREE_PARAMETERS.gather(1, SOURCE_PARAMETER)[:, :3].all()


def test_open_cells_have_no_volume() -> None:
    angles = torch.tensor([100.0, 100.0, 170.0], dtype=torch.float64)
    assert not is_closed(angles)
    assert volume(torch.ones(3, dtype=torch.float64), angles).isnan()


@pytest.mark.parametrize("shape", [(), (4,), (2, 5)])
def test_any_batch_shape(shape: tuple[int, ...]) -> None:
    lengths = torch.full((*shape, 3), 2.0, dtype=torch.float64)
    angles = torch.full((*shape, 3), 90.0, dtype=torch.float64)
    assert parameters_to_matrix(lengths, angles).shape == (*shape, 3, 3)
    torch.testing.assert_close(volume(lengths, angles), torch.full(shape, 8.0, dtype=torch.float64))
