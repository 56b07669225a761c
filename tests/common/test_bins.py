"""Edges of bins."""

from __future__ import annotations

import numpy as np
import pytest

from gflownet_crystal.common.bins import common_bins


def test_bins_hold_98_percent_of_each_set() -> None:
    values = [np.linspace(0.0, 1.0, 1001), np.linspace(5.0, 7.0, 1001)]
    edges = common_bins(values, 10)
    assert len(edges) == 11
    assert (edges[0], edges[-1]) == (pytest.approx(0.01), pytest.approx(6.98))


def test_one_value_lies_in_the_middle() -> None:
    assert common_bins([np.array([2.0, 2.0]), np.zeros(0)], 4).tolist() == [1.5, 1.75, 2.0, 2.25, 2.5]


@pytest.mark.parametrize("value", [0.0, 1e8, -1e20, 1e200])
def test_neighbouring_edges_differ(value: float) -> None:
    for second in (value, np.nextafter(value, np.inf)):
        assert (np.diff(common_bins([np.array([value, second])], 60)) > 0).all()


def test_no_values_have_bins_too() -> None:
    assert (np.diff(common_bins([np.zeros(0)], 3)) > 0).all() and (np.diff(common_bins([], 3)) > 0).all()
