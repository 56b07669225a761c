"""The figure of samples by condition: which pairs it shows, and its quantiles against those of a loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.report.by_condition import binned_quantiles, condition_figure, condition_pairs


def frame(n: int = 400) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    asked = generator.uniform(0.0, 4.0, n)
    return pd.DataFrame(
        {
            "energy": generator.normal(size=n),
            "band_gap": asked + generator.normal(size=n) * 0.1,
            "e_above_hull": generator.uniform(size=n),
            "condition_beta": generator.uniform(4.0, 32.0, n),
            "condition_band_gap": asked,
        }
    )


def test_a_condition_is_shown_against_what_it_acts_on() -> None:
    pairs = condition_pairs(frame(), "energy (eV)")
    assert [(name, column, is_value) for name, column, _, is_value in pairs] == [
        ("beta", "e_above_hull", False),
        ("band_gap", "band_gap", True),
    ]
    without = frame().drop(columns=["e_above_hull", "condition_band_gap"])
    assert [pair[1:3] for pair in condition_pairs(without, "energy (eV)")] == [("energy", "energy (eV)")]
    assert condition_pairs(frame().drop(columns=["condition_beta", "condition_band_gap"]), "energy") == []
    assert condition_pairs(without.assign(energy=np.nan), "energy") == []


def test_quantiles_are_those_of_each_bin() -> None:
    condition, value = np.array([0.0, 0.5, 9.9, 10.0, 5.0]), np.array([1.0, 3.0, 10.0, 20.0, 7.0])
    centres, quantiles = binned_quantiles(condition, value)
    assert centres == pytest.approx([0.25, 5.0, 9.95])
    assert quantiles[:, 1] == pytest.approx([2.0, 7.0, 15.0])
    assert quantiles[1] == pytest.approx([7.0, 7.0, 7.0])
    # one value of the condition alone, as where it is held
    assert len(binned_quantiles(np.full(4, 2.0), np.arange(4.0))[0]) == 1


def test_the_figure_has_a_panel_a_condition() -> None:
    pairs = condition_pairs(frame(), "energy (eV)")
    panels = condition_figure(frame(), pairs).axes
    assert [axes.get_xlabel() for axes in panels] == ["condition: beta", "condition: band gap"]
    # asked and got agree
    got = panels[1].lines[0].get_ydata()
    assert np.abs(np.asarray(got) - np.asarray(panels[1].lines[1].get_ydata())).max() < 0.1
