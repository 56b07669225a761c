"""Ranks and shares of samples by several objectives, and how a screening takes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.common.objective_columns import objective_columns, property_columns
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.spec_io import specs_to_frame
from gflownet_crystal.workflows.candidates.shortlist import Shortlist, rank_rows
from gflownet_crystal.workflows.sampling.objectives import fronts, shares, with_fronts
from gflownet_crystal.workflows.settings.screening import Screening
from tests.proxies.objectives import specs


def table() -> pd.DataFrame:
    """Four samples: the third is worse than the first two in both objectives, the fourth is far from the limits."""
    columns = {
        "energy": [-1.0, -1.2, -0.8, -1.5], "energy_std": [0.1] * 4, "log_reward": [-2.0, -2.5, -4.0, -5.0],
        "band_gap": [1.4, 1.3, 1.25, 0.0], "band_gap_std": [0.1] * 4, "e_above_hull": [0.04, 0.02, 0.06, 0.0],
        "log_reward_stability": [-1.5, -1.0, -2.0, 0.0], "log_reward_band_gap": [-0.5, -1.5, -2.0, -5.0],
        "within_limits": [True, True, True, False],
    }  # fmt: skip
    return specs_to_frame(specs(), **{name: np.array(values) for name, values in columns.items()})


def test_fronts_are_of_the_parts_of_the_reward() -> None:
    assert with_fronts(table())["pareto_rank"].tolist() == [1, 1, 2, 1]
    plain = table().drop(columns=["log_reward_stability", "log_reward_band_gap"])
    assert fronts(plain) is None and with_fronts(plain).equals(plain)
    assert property_columns(plain) == objective_columns(plain)[:0]


def test_energies_with_atoms_stand_for_the_stability_and_nothing_is_gained_below_the_hull() -> None:
    judged = table().assign(e_above_hull_judged=[-0.2, -0.1, np.nan, 0.3])
    # by atoms the first two are equally stable, so that the gap decides
    assert fronts(judged).tolist() == [1, 2, 3, 3]


def test_columns_and_shares() -> None:
    frame = with_fronts(table())
    assert property_columns(frame) == ["band_gap"]
    assert objective_columns(frame) == ["band_gap", "band_gap_std", "log_reward_stability", "log_reward_band_gap",
                                        "within_limits", "pareto_rank"]  # fmt: skip
    assert shares(frame) == {"stable": 0.75, "within_limits": 0.75, "both": 0.5}
    assert shares(frame[["energy"]]) == {}


@pytest.mark.parametrize("limits", [True, False])
def test_a_shortlist_keeps_what_is_within_limits_and_ranks_by_the_reward(limits: bool) -> None:
    frame = table()
    assert rank_rows(frame).tolist() == [0, 1, 2, 3]
    one = frame.drop(columns=["log_reward_stability", "log_reward_band_gap"])
    assert rank_rows(one).tolist() == [3, 1, 0, 2]
    settings = Screening(k=2, better=1.0, order="best", limits=limits)
    shortlist = Shortlist(iter([frame]), settings, KnownCompounds.from_weights())
    assert shortlist.following(10) == ([0, 1, 2] if limits else [0, 1, 2, 3])
    assert shortlist.counts["limits"] == (3 if limits else 4)


def test_limits_that_a_table_leaves_empty_do_not_hold() -> None:
    frame = table().astype({"within_limits": object})
    frame.loc[0, "within_limits"] = np.nan
    shortlist = Shortlist(
        iter([frame]), Screening(k=2, better=1.0, order="best"), KnownCompounds.from_weights()
    )
    assert shortlist.following(10) == [1, 2]
