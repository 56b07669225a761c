"""Quadrature against closed forms."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.evaluation.quadrature import unit_box_nodes
from gflownet_crystal.proxies.toy import BoxCorners


@pytest.mark.parametrize(("dimensions", "panels"), [(1, 1), (2, 1), (3, 2)])
def test_polynomials_are_integrated_exactly(dimensions: int, panels: int) -> None:
    points, log_weight = unit_box_nodes(dimensions, 4, panels)
    assert points.shape == ((4 * panels) ** dimensions, dimensions)
    assert float((log_weight.exp() * points.pow(7).prod(dim=1)).sum()) == pytest.approx((1 / 8) ** dimensions)


def test_gaussian_bumps_match_error_functions() -> None:
    proxy = BoxCorners(2)
    points, log_weight = unit_box_nodes(2, 8, panels=8)
    integral = torch.logsumexp(proxy.predict(points).log() + log_weight, dim=0)
    assert float(integral) == pytest.approx(proxy.log_integral())


def test_half_of_the_box_may_have_no_mass() -> None:
    points, log_weight = unit_box_nodes(1, 3, panels=2)
    assert float(log_weight.exp()[points[:, 0] < 0.5].sum()) == pytest.approx(0.5)


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError):
        unit_box_nodes(0, 4)
