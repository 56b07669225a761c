"""Frechet distances against closed forms, scipy's matrix root, and noise that grows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.frechet import frechet_distance, frechet_floor, gaussian_distance
from gflownet_crystal.evaluation.network_features import NetworkMaker
from tests.evaluation.crystals import arrays, rattled, some_crystals


def random_covariance(generator: torch.Generator, rank: int = 5) -> torch.Tensor:
    root = torch.randn(5, rank, generator=generator, dtype=torch.float64)
    return root @ root.T


def test_gaussians_with_a_closed_form():
    # covariances that commute: |m1 - m2|^2 + sum of (s1 - s2)^2
    first, second = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    mean = torch.tensor([0.5, 0.0, -1.0]).double()
    found = gaussian_distance(mean, first.diag(), torch.zeros(3).double(), second.diag())
    assert found == pytest.approx(1.25 + 1.0 + 0.0 + 4.0)


@pytest.mark.parametrize("rank", [5, 2])
def test_any_gaussians_against_scipys_root(rank: int):
    generator = torch.Generator().manual_seed(rank)
    first, second = random_covariance(generator), random_covariance(generator, rank)
    mean = torch.randn(5, generator=generator, dtype=torch.float64)
    root = np.real(sqrtm((first @ second).numpy() + 0j))
    expected = float(mean.square().sum() + first.trace() + second.trace()) - 2.0 * float(np.trace(root))
    found = gaussian_distance(mean, first, torch.zeros(5).double(), second)
    assert found == pytest.approx(expected, rel=1e-5)


def test_samples_of_gaussians_come_near_the_closed_form():
    generator = torch.Generator().manual_seed(3)
    draws = torch.randn(2, 40_000, 3, generator=generator, dtype=torch.float64)
    scale, shift = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1.0, 0.0, 0.0])
    assert frechet_distance(draws[0], draws[1] * scale + shift) == pytest.approx(2.25, rel=0.03)
    assert frechet_distance(draws[0], draws[0]) == pytest.approx(0.0, abs=1e-9)
    # a turn of all features changes nothing
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    small = draws[:, :50] * scale
    assert frechet_distance(small[0] @ turn, small[1] @ turn) == pytest.approx(frechet_distance(*small))


def test_the_floor_falls_with_the_number_drawn():
    reference = torch.randn(2_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few, many = (frechet_floor(reference, n, torch.Generator().manual_seed(1), 20) for n in (50, 800))
    assert 0.0 < many[0] < 0.2 * few[0] and few[0] < few[1]
    # means of n and of m vectors lie d (1/n + 1/m) apart, and covariances are apart too
    assert many[0] > 4 * (1 / 800 + 1 / 2_000)


def test_what_has_no_distance_is_refused():
    two = torch.zeros(2, 3)
    for first, second, said in (
        (two[:1], two, "2 vectors"),
        (two, two[:, :2], "(m, d)"),
        (two / 0.0, two, "finite"),
    ):
        with pytest.raises(DataError, match=said.replace("(", r"\(").replace(")", r"\)")):
            frechet_distance(first, second)


def test_the_networks_features_move_away_with_noise_and_are_versioned():
    maker = NetworkMaker("gemsnet")
    assert maker.name.startswith("gemsnet-") and maker.name in maker.key
    crystals = some_crystals()
    clean = maker(arrays(crystals)).tensors["states"]
    ladder = []
    for amount in (0.02, 0.1, 0.3):
        noisy = maker(arrays(rattled(crystals, amount))).tensors["states"]
        ladder.append(frechet_distance(noisy, clean))
    assert 0.0 < ladder[0] < ladder[1] < ladder[2]


def test_structures_without_a_graph_are_counted():
    crystals = some_crystals()[:3]
    crystals.cell[1] *= 0.05
    found = NetworkMaker("gemsnet")(arrays(crystals))
    assert found.done.tolist() == [True, False, True] and bool(found.reasons[1])
    assert found.tensors["states"].isnan().any(1).tolist() == [False, True, False]
    alone = NetworkMaker("gemsnet")(arrays(crystals[1:2]))
    assert alone.tensors["states"].shape == (1, found.tensors["states"].shape[1])
