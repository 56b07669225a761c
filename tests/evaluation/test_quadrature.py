"""Quadrature against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.evaluation.quadrature import log_integral, unit_box_nodes
from gflownet_crystal.proxies.toy import BoxCorners


@pytest.mark.parametrize(("dimensions", "panels"), [(1, 1), (2, 1), (3, 2)])
def test_polynomials_are_integrated_exactly(dimensions: int, panels: int) -> None:
    points, log_weight = unit_box_nodes(dimensions, 4, panels)
    assert points.shape == ((4 * panels) ** dimensions, dimensions)
    assert float((log_weight.exp() * points.pow(7).prod(dim=1)).sum()) == pytest.approx((1 / 8) ** dimensions)


def test_gaussian_bumps_match_error_functions() -> None:
    proxy = BoxCorners(2)

    def log_reward(points: Tensor) -> Tensor:
        return proxy.predict(points).log()

    assert log_integral(log_reward, 2, nodes=8, panels=8, batch_size=1000) == pytest.approx(
        proxy.log_integral()
    )


def test_half_of_the_box_may_have_no_mass() -> None:
    def half(points: Tensor) -> Tensor:
        return torch.where(points[:, 0] < 0.5, 0.0, -math.inf).double()

    assert log_integral(half, 1, nodes=3, panels=2) == pytest.approx(math.log(0.5))


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError):
        unit_box_nodes(0, 4)
