"""Figures of held-out samples against closed forms, and a table that an ordinary terminal holds."""

from __future__ import annotations

import numpy as np
import pytest

from gflownet_crystal.workflows.refining_figures import agreement, rounds_table


def test_errors_shares_and_rank_correlation() -> None:
    label = np.array([-1.0, -2.0, 0.0, 1.0])
    hull = np.array([-1.05, -2.0, -0.2, 0.0])
    # distances: labelled 0.05, 0.0, 0.2, 1.0; predicted 0.15, 0.2, 0.1, 1.3
    figures = agreement(label + np.array([0.1, 0.2, -0.1, 0.3]), label, hull)
    # ranks (2, 1, 3, 4) against (2, 3, 1, 4): 1 - 6 (0 + 4 + 4 + 0) / (4 * 15)
    assert figures == {
        "n": 4,
        "mae": pytest.approx(0.175),
        "median_error": pytest.approx(0.15),
        "bias": pytest.approx(0.125),
        "spearman_above_hull": pytest.approx(0.2),
        "predicted_within_0.1": pytest.approx(0.25),
        "labelled_within_0.1": pytest.approx(0.5),
    }


def test_no_rank_correlation_where_it_is_not_defined() -> None:
    one = np.array([-1.0])
    assert agreement(one, one, one)["spearman_above_hull"] is None
    same = np.array([-1.0, -1.0])
    assert agreement(same, same, np.zeros(2))["spearman_above_hull"] is None


@pytest.mark.parametrize("size", [1.0, 99.0])
def test_the_table_fits_80_columns_and_holds_every_round(size: float) -> None:
    one = {
        "n": int(100 * size),
        "mae": size,
        "bias": -size,
        "spearman_above_hull": -0.5 if size > 1 else None,
    }
    figures = {
        "round": 1,
        "samples": {"distinct": int(1000 * size), "placed": int(999 * size)},
        "labelled_within_0.1": 0.5,
        "proxy": {"before": one, "after": one},
    }
    lines = rounds_table([figures, {**figures, "round": 2}]).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"]
    assert all(len(line) == len(lines[2]) for line in lines[2:])
