"""Figures of energies of placed atoms against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from gflownet_crystal.training.proxies.placed_figures import capped, placed_figures


def test_errors_shares_and_rank_correlation() -> None:
    label = np.array([-1.0, -2.0, 0.0, 1.0])
    hull = np.array([-1.05, -2.0, -0.2, 0.0])
    # distances: labelled 0.05, 0.0, 0.2, 1.0; predicted 0.15, 0.04, 0.1, 1.3
    figures = placed_figures(
        label + np.array([0.1, 0.04, -0.1, 0.3]), label, hull, std=np.array([0.05, 0.01, 0.02, 0.2])
    )
    # ranks (3, 1, 2, 4) against (2, 1, 3, 4): 1 - 6 (1 + 0 + 1 + 0) / (4 * 15)
    assert figures == {
        "n": 4,
        "mae": pytest.approx(0.135),
        "median_error": pytest.approx(0.1),
        "bias": pytest.approx(0.085),
        "spearman_above_hull": pytest.approx(0.8),
        "predicted_within_0.1": pytest.approx(0.5),
        "labelled_within_0.1": pytest.approx(0.5),
        "predicted_within_0.05": pytest.approx(0.25),
        "labelled_within_0.1_of_those": pytest.approx(1.0),
        "within_2_std": pytest.approx(0.5),
    }


def test_energies_far_above_the_hull_count_as_the_highest_on_both_sides() -> None:
    hull = np.array([-1.0, -1.0, -1.0])
    label, predicted = np.array([49.0, 1.5, -1.0]), np.array([1.5, 49.0, -0.9])
    assert capped(label, hull).tolist() == [1.0, 1.0, -1.0]
    assert capped(label, hull, 0.25).tolist() == [-0.75, -0.75, -1.0]
    # capped, the first two are 2 eV/atom above the hull by both; the third is off by 0.1
    figures = placed_figures(predicted, label, hull)
    assert figures["mae"] == pytest.approx(0.1 / 3, abs=1e-5) == figures["bias"]
    # a cap of 60 lets them be as they are
    assert placed_figures(predicted, label, hull, 60.0)["mae"] == pytest.approx(95.1 / 3, abs=1e-5)


def test_what_is_not_defined_is_none() -> None:
    one = np.array([-1.0])
    assert placed_figures(one, one, one)["spearman_above_hull"] is None
    same = np.array([-1.0, -1.0])
    assert placed_figures(same, same, np.zeros(2))["spearman_above_hull"] is None
    far = placed_figures(same, same, same - 0.5)
    assert far["predicted_within_0.05"] == 0.0 and far["labelled_within_0.1_of_those"] is None
    assert "within_2_std" not in far
