"""The exponential basis of lattices, against matrix exponentials, eigen decompositions and Gaussian laws."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gflownet_crystal.crystallography.lattice import matrix_to_parameters, parameters_to_matrix
from gflownet_crystal.models.gemsdiff.lattice_diffusion import (
    LatticeBasis,
    LatticeCoordinates,
    exp_cell,
    log_cell,
)
from gflownet_crystal.models.gemsdiff.noise_schedules import VariancePreserving, linear_betas
from gflownet_crystal.models.gemsdiff.symmetric import symmetric_eigen

BASES = {"printed": LatticeBasis.printed(), "orthonormal": LatticeBasis.orthonormal()}


def cells() -> Tensor:
    """Of every system, nearly so, and random."""
    generator = torch.Generator().manual_seed(0)
    lengths = 2.0 + 20.0 * torch.rand(200, 3, generator=generator).double()
    angles = 60.0 + 60.0 * torch.rand(200, 3, generator=generator).double()
    lengths[:4], angles[:4] = 4.0, torch.tensor([90.0, 60.0, 90.0, 109.47122063449069])[:, None].double()
    lengths[4:8, 1] = lengths[4:8, 0]
    angles[4:8] = torch.tensor([90.0, 90.0, 120.0]).double()
    # eigenvalues of the metric as near as rounding allows
    lengths[8:20] = (
        5.0 + torch.logspace(-15, -4, 12).double()[:, None] * torch.tensor([0.0, 1.0, 2.0]).double()
    )
    angles[8:20] = 90.0
    closed = parameters_to_matrix(lengths, angles)
    return closed[closed.isfinite().all(2).all(1)]


def turns(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.linalg.qr(torch.randn(n, 3, 3, generator=generator).double()).Q


def test_round_trip_is_the_same_lattice() -> None:
    given = cells()
    back = exp_cell(log_cell(given))
    torch.testing.assert_close(back @ back.mT, given @ given.mT, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(back, back.mT)


def test_exponential_is_the_matrix_exponential() -> None:
    logarithm = log_cell(cells())
    torch.testing.assert_close(
        exp_cell(logarithm), torch.linalg.matrix_exp(logarithm), rtol=1e-12, atol=1e-12
    )


def test_rotations_do_not_show() -> None:
    given = cells()
    torch.testing.assert_close(log_cell(given @ turns(len(given))), log_cell(given), rtol=0, atol=1e-11)


def test_eigen_decomposition_of_near_and_equal_values() -> None:
    values = torch.tensor(
        [[1, 1, 1], [1, 1 + 1e-15, 2], [1, 1 + 1e-9, 1 - 1e-9], [0, 0, 1e-8], [-3, 1e6, 1e-6]]
    )
    rotation = turns(len(values))
    matrix = (rotation * values.double()[:, None]) @ rotation.mT
    matrix = (matrix + matrix.mT) / 2
    found, vectors = symmetric_eigen(matrix)
    scale = matrix.abs().amax((1, 2))[:, None]
    expected = torch.linalg.eigvalsh(matrix)
    assert ((found.sort().values - expected).abs() <= 1e-14 * scale + 1e-15).all()
    torch.testing.assert_close(
        vectors.mT @ vectors, torch.eye(3).double().expand(5, 3, 3), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("name", BASES)
def test_basis_is_inverted_and_volume_is_the_last_coordinate(name: str) -> None:
    basis, given = BASES[name], cells()
    coordinates = basis.coordinates(log_cell(given))
    torch.testing.assert_close(basis.matrix(coordinates), log_cell(given), rtol=0, atol=1e-12)
    factor = {"printed": 3 * 0.25 / 3**0.5, "orthonormal": 3**0.5}[name]
    torch.testing.assert_close((coordinates[:, 5] * factor).exp(), given.det().abs(), rtol=1e-10, atol=0)


def test_orthonormal_basis_is_orthonormal() -> None:
    flat = BASES["orthonormal"].matrices.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(6).double())


def test_prior_of_the_centred_basis_has_the_volume_given() -> None:
    generator = torch.Generator().manual_seed(2)
    zero, scale = torch.zeros(6).double(), torch.tensor([0.2] * 5 + [0.1]).double()
    noise = torch.randn(20_001, 6, generator=generator).double()
    volume = torch.full((len(noise),), 140.0).double()
    drawn = LatticeCoordinates(BASES["orthonormal"], zero, scale).cells(noise, volume).det()
    assert abs(drawn.median() / 140.0 - 1.0) < 0.01
    # in the paper the median is 1 Å^3
    plain = LatticeCoordinates(BASES["printed"], zero, torch.ones(6).double())
    assert abs(plain.cells(noise, torch.ones_like(volume)).det().median() - 1.0) < 0.05


def test_coordinates_round_trip() -> None:
    given = cells()
    centre, scale = torch.linspace(-1, 1, 6).double(), torch.linspace(0.1, 2, 6).double()
    frame, volume = LatticeCoordinates(BASES["orthonormal"], centre, scale), given.det().abs() * 1.3
    made = frame.cells(frame.of_cells(given, volume), volume)
    for found, expected in zip(matrix_to_parameters(made), matrix_to_parameters(given), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-8)


def reverse(schedule: VariancePreserving, mean: Tensor, deviation: Tensor, n: int) -> Tensor:
    """Samples by the exact expectation of x_0 given x_t for a Gaussian law of x_0."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, len(mean), generator=generator).double()
    for now, then in pairwise(range(len(schedule.kept) - 1, -1, -1)):
        kept = schedule.kept[now]
        gain = kept.sqrt() * deviation.square() / (kept * deviation.square() + 1.0 - kept)
        start = mean + gain * (x - kept.sqrt() * mean)
        centre, width = schedule.posterior(x, start, torch.full((n,), now), torch.full((n,), then))
        x = centre + width * torch.randn(n, len(mean), generator=generator).double()
    return x


def test_reverse_process_recovers_a_gaussian() -> None:
    mean = torch.tensor([0.5, -0.4, 0.0, 0.3, -0.2, 0.1]).double()
    deviation = torch.tensor([0.2, 0.5, 1.0, 0.7, 0.3, 0.1]).double()
    x = reverse(VariancePreserving.of(linear_betas(1e-6, 1e-2, 1000)), mean, deviation, 5000)
    assert ((x.mean(0) - mean).abs() < 0.05 * deviation + 0.01).all()
    assert ((x.std(0) / deviation - 1.0).abs() < 0.05).all()


def test_a_hundred_steps_are_enough_for_what_is_scaled_to_deviation_one() -> None:
    mean, deviation = torch.zeros(6).double(), torch.linspace(0.8, 1.2, 6).double()
    x = reverse(VariancePreserving.of(linear_betas(1e-5, 1e-1, 100)), mean, deviation, 20_000)
    assert (x.mean(0).abs() < 0.03).all()
    assert ((x.std(0) / deviation - 1.0).abs() < 0.05).all()
