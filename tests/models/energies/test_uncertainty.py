"""Uncertainty by distance: Mahalanobis by numpy, coverage on errors not seen, monotone, and the same after storing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.energies.uncertainty import LatentDistance, coverage


def made_up(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features of uneven width, and errors whose spread grows with the distance from the training data."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(n, 12, generator=generator)
    reach = 0.2 + 3.0 * torch.rand(n, 1, generator=generator)
    features = direction * reach * torch.logspace(0, -1, 12) + 5.0
    error = torch.randn(n, generator=generator, dtype=torch.float64) * (0.01 + 0.05 * reach[:, 0].double())
    return features.float(), error


@pytest.fixture(scope="module")
def fitted() -> LatentDistance:
    train = (
        torch.randn(3000, 12, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -1, 12) + 5.0
    )
    return LatentDistance.fit(train, *made_up(2000, 1))


def test_the_distance_is_mahalanobis(fitted: LatentDistance) -> None:
    train = (
        torch.randn(3000, 12, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -1, 12) + 5.0
    )
    features, _ = made_up(50, 2)
    covariance = np.cov(train.double().numpy().T)
    covariance += 1e-3 * np.linalg.eigvalsh(covariance)[-1] * np.eye(12)
    difference = features.double().numpy() - train.double().numpy().mean(0)
    wanted = np.sqrt(np.einsum("ni,ij,nj->n", difference, np.linalg.inv(covariance), difference) / 12)
    np.testing.assert_allclose(fitted.distance(features).numpy(), wanted, rtol=1e-4)
    assert float(fitted.distance(train).median()) == pytest.approx(1.0, abs=0.1)


def test_errors_not_seen_lie_within_their_deviations(fitted: LatentDistance) -> None:
    features, error = made_up(4000, 3)
    figures = coverage(fitted(features), error)
    assert figures["within_1_std"] == pytest.approx(0.683, abs=0.04)
    assert figures["within_2_std"] == pytest.approx(0.954, abs=0.03)
    far = fitted.distance(features) > fitted.distance(features).median()
    # among near ones as among far ones
    for half in (far, ~far):
        assert coverage(fitted(features[half]), error[half])["within_1_std"] == pytest.approx(0.683, abs=0.06)


def test_deviations_never_fall_and_grow_beyond_the_last_knot(fitted: LatentDistance) -> None:
    steps = torch.linspace(0.0, 40.0, 400)[:, None] * torch.ones(12) + 5.0
    distance, deviation = fitted.distance(steps), fitted(steps)
    assert bool((deviation.diff()[distance.diff() > 0] >= 0.0).all()) and bool((deviation > 0.0).all())
    beyond = distance > float(fitted.knots[-1])
    ratio = deviation[beyond] / distance[beyond]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-6, atol=0)


def test_what_is_stored_says_the_same(fitted: LatentDistance) -> None:
    features, _ = made_up(20, 4)
    assert LatentDistance.of(dict(fitted.state_dict()))(features).equal(fitted(features))
    one = LatentDistance.fit(features.repeat(3, 1), features, torch.linspace(0, 1, 20))
    assert len(one.knots) == 1 and bool((one(features) > 0.0).all())


def test_too_little_to_learn_from_is_refused() -> None:
    features, error = made_up(30, 5)
    with pytest.raises(DataError, match="5 errors"):
        LatentDistance.fit(features, features[:5], error[:5])
    error[3] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        LatentDistance.fit(features, features, error)
