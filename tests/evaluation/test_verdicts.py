"""Shares at several distances to the hull, flags, and what several judges agree on: tables counted by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.evaluation.verdicts import Verdict, by_all
from tests.evaluation.crystals import some_crystals

THRESHOLDS = (0.1, 0.05, 0.0)
NAN = float("nan")


def verdict(
    above: list[float],
    unique: list[bool] | None = None,
    novel: list[bool] | None = None,
    entries: list[int] | None = None,
    rows: list[int] | None = None,
    kinds: list[int] | None = None,
    n: int = 10,
) -> Verdict:
    m = len(above)
    structures = some_crystals()[torch.tensor(kinds or list(range(m)))]
    return Verdict(
        n,
        torch.tensor(rows or list(range(m))),
        structures,
        torch.tensor(above, dtype=torch.float64),
        torch.tensor(unique or [True] * m),
        torch.tensor(novel or [True] * m),
        None if entries is None else torch.tensor(entries),
    )


def test_shares_at_each_threshold_are_of_all_that_were_to_be_judged() -> None:
    found = verdict(
        [-0.02, 0.0, 0.05, 0.08, 0.1, 0.2, NAN],
        unique=[True, False, True, True, True, True, True],
        novel=[True, True, True, False, True, True, True],
    ).figures(THRESHOLDS)
    assert found["stable_at"] == {"0.1": 0.5, "0.05": 0.3, "0": 0.2}
    assert found["sun_at"] == {"0.1": 0.3, "0.05": 0.2, "0": 0.1}
    assert (found["stable"], found["sun"], found["threshold"]) == (0.5, 0.3, 0.1)
    # one of seven has no energy, and three of ten did not come so far
    assert (found["n"], found["n_failed"]) == (10, 4)
    alone = verdict([-0.02, 0.2]).figures([0.25])
    assert alone["sun_at"] == {"0.25": 0.2} and alone["threshold"] == 0.25


def test_chemical_systems_are_those_of_sun_structures() -> None:
    # the first two crystals are one system, the third another one
    structures = [0, 0, 1, 2]
    found = verdict([0.0, 0.04, 0.09, 0.3], kinds=structures).figures(THRESHOLDS)
    assert found["systems_per_sun_at"] == {"0.1": pytest.approx(2 / 3), "0.05": 0.5, "0": 1.0}
    assert found["systems_per_sun"] == pytest.approx(2 / 3)
    none = verdict([0.3, 0.4]).figures(THRESHOLDS)
    assert math.isnan(none["systems_per_sun"]) and none["sun"] == 0.0


def test_sparse_systems_and_energies_far_below_are_counted_and_flagged() -> None:
    judged = verdict([0.0, -0.2, -0.1, 0.3], entries=[11, 40, 12, 0])
    assert judged.sparse.tolist() == [True, False, False, True]
    assert judged.far_below.tolist() == [False, True, False, False]
    found = judged.figures(THRESHOLDS)
    assert (found["n_sparse"], found["n_far_below"], found["n_sun_flagged"]) == (2, 1, 2)
    unknown = verdict([0.0, -0.2]).figures(THRESHOLDS)
    assert (unknown["n_sparse"], unknown["n_far_below"], unknown["n_sun_flagged"]) == (None, 1, 1)


def test_all_judges_agree_on_the_worst_of_their_distances() -> None:
    first = verdict([0.0, 0.04, 0.2, NAN], rows=[0, 2, 5, 7], entries=[1, 2, 3, 4])
    second = verdict([0.06, 0.01, 0.0, 0.0], novel=[True, False, True, True], rows=[0, 5, 2, 7])
    both = by_all([first, second], Tolerances(), Work())
    assert both.rows.tolist() == [0, 2, 5]
    assert both.above.tolist() == [0.06, 0.04, 0.2]
    assert both.novel.tolist() == [True, True, False]
    assert both.entries is not None and both.entries.tolist() == [1, 2, 3]
    found = both.figures(THRESHOLDS)
    assert found["sun_at"] == {"0.1": 0.2, "0.05": 0.1, "0": 0.0}
    assert (found["n"], found["n_failed"]) == (10, 7)
    same = by_all([first], Tolerances(), Work())
    assert same.figures(THRESHOLDS)["sun_at"] == {"0.1": 0.2, "0.05": 0.2, "0": 0.1}


def test_of_equal_crystals_the_one_that_both_think_most_of_stands_for_them() -> None:
    # each judge prefers another one of two equal crystals; together they count once
    first = verdict([0.0, 0.04], unique=[True, False], kinds=[1, 1])
    second = verdict([0.09, 0.03], unique=[False, True], kinds=[1, 1])
    both = by_all([first, second], Tolerances(), Work())
    assert both.unique.tolist() == [False, True]
    assert both.figures(THRESHOLDS)["sun_at"] == {"0.1": 0.1, "0.05": 0.1, "0": 0.0}


def test_judges_that_share_no_structure_agree_on_none() -> None:
    none = by_all([verdict([0.0], rows=[1]), verdict([0.0], rows=[2])], Tolerances(), Work())
    found = none.figures(THRESHOLDS)
    assert (found["n_failed"], found["stable"], found["sun"]) == (10, 0.0, 0.0)
    with pytest.raises(DataError, match="same structures"):
        by_all([verdict([0.0]), verdict([0.0], n=3)], Tolerances(), Work())
    with pytest.raises(DataError, match="at least one"):
        by_all([], Tolerances(), Work())
