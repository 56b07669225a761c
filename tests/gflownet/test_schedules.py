"""Schedules against what their names say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.schedules import BehaviourSchedule, LearningRateSchedule


@given(st.integers(1, 50), st.integers(51, 500), st.floats(0.0, 1.0))
def test_cosine_rises_then_falls_to_its_end(warm_up: int, iterations: int, end: float) -> None:
    schedule = LearningRateSchedule("cosine", iterations, warm_up, end)
    factors = [schedule.factor(iteration) for iteration in range(iterations)]
    assert factors[warm_up - 1] == pytest.approx(1.0)
    assert factors[: warm_up - 1] == sorted(factors[: warm_up - 1])
    assert factors[warm_up:] == sorted(factors[warm_up:], reverse=True)
    assert schedule.factor(iterations) == pytest.approx(end)
    middle = warm_up + (iterations - warm_up) / 3
    expected = end + (1 - end) * (1 + math.cos(math.pi / 3)) / 2
    assert min(schedule.factor(int(middle)), schedule.factor(int(middle) + 1)) <= expected + 1e-9
    assert max(schedule.factor(int(middle)), schedule.factor(int(middle) + 1)) >= expected - 1e-9


@given(st.integers(1, 20), st.integers(0, 200))
def test_steps_multiply_as_often_as_they_passed(every: int, iteration: int) -> None:
    schedule = LearningRateSchedule("step", 1000, 0, step_every=every, step_factor=0.5)
    slow = 1.0
    for passed in range(1, iteration + 1):
        slow = slow * 0.5 if passed % every == 0 else slow
    assert schedule.factor(iteration) == pytest.approx(slow)


def test_constant_stays() -> None:
    schedule = LearningRateSchedule("constant", 10)
    assert {schedule.factor(iteration) for iteration in range(30)} == {1.0}


def test_behaviour_is_a_straight_line_that_ends() -> None:
    schedule = BehaviourSchedule(0.4, 0.0, 3.0, 1.0, 100)
    assert (schedule.behaviour(0).exploration, schedule.behaviour(0).temperature) == (0.4, 3.0)
    assert schedule.behaviour(25).exploration == pytest.approx(0.3)
    assert schedule.behaviour(25).temperature == pytest.approx(2.5)
    assert (schedule.behaviour(500).exploration, schedule.behaviour(500).temperature) == (0.0, 1.0)


@pytest.mark.parametrize(
    "wrong", [{"kind": "linear"}, {"kind": "step", "step_every": 0}, {"kind": "cosine", "warm_up": -1}]
)
def test_bad_schedules_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LearningRateSchedule(iterations=10, **wrong)


def test_the_end_of_the_slope_is_checked_at_the_start() -> None:
    with pytest.raises(ConfigError, match="exploration"):
        BehaviourSchedule(0.1, 1.5, 1.0, 1.0, 10)
