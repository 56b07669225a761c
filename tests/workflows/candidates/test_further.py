"""Settings of a screening that follow from the run."""

from __future__ import annotations

import pytest

from gflownet_crystal.workflows.candidates.further import by_rank, usual_screening
from gflownet_crystal.workflows.settings.screening import Screening


@pytest.mark.parametrize(("k", "most"), [(1, 3), (30, 3), (100, 10), (1000, 100)])
def test_a_tenth_of_discoveries_may_be_of_one_prototype(k: int, most: int) -> None:
    assert usual_screening(True, k)["max_per_prototype"] == most
    assert "max_per_prototype" not in usual_screening(False, k)


@pytest.mark.parametrize(
    ("has_hull", "has_judge", "within", "by_reward"),
    [(True, False, None, False), (False, True, 0.05, True), (False, False, None, True)],
)
def test_without_a_judge_no_distance_is_asked_and_without_a_hull_the_reward_ranks(
    has_hull: bool, has_judge: bool, within: float | None, by_reward: bool
) -> None:
    found = by_rank(Screening(within=0.05), has_hull, has_judge)
    assert (found.within, found.by_reward, found.better, found.order) == (within, by_reward, 1.0, "best")
