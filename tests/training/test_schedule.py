"""Schedules of learning rates against their names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.training.schedule import ScheduleSettings, cosine


@given(st.integers(1, 50), st.integers(51, 500), st.floats(0.0, 1.0))
def test_cosine_rises_then_falls_to_its_end(warm_up: int, iterations: int, end: float) -> None:
    schedule = ScheduleSettings("cosine", warm_up, end)
    factors = [schedule.factor(iteration, iterations) for iteration in range(iterations)]
    assert factors[warm_up - 1] == pytest.approx(1.0)
    assert factors[: warm_up - 1] == sorted(factors[: warm_up - 1])
    assert factors[warm_up:] == sorted(factors[warm_up:], reverse=True)
    assert schedule.factor(iterations, iterations) == pytest.approx(end)
    middle = warm_up + (iterations - warm_up) / 3
    expected = end + (1 - end) * (1 + math.cos(math.pi / 3)) / 2
    around = [schedule.factor(int(middle) + further, iterations) for further in (0, 1)]
    assert min(around) - 1e-9 <= expected <= max(around) + 1e-9


@given(st.floats(0.01, 0.9), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_share_of_a_rise_is_cut_off_the_cosine(warm_up: float, end: float, share: float) -> None:
    assert cosine(share * warm_up, end, warm_up) == pytest.approx(share)
    assert cosine(warm_up + share * (1 - warm_up), end, warm_up) == pytest.approx(cosine(share, end))


@given(st.integers(1, 20), st.integers(0, 200))
def test_steps_multiply_as_often_as_they_passed(every: int, iteration: int) -> None:
    schedule = ScheduleSettings("step", step_every=every, step_factor=0.5)
    slow = 1.0
    for passed in range(1, iteration + 1):
        slow = slow * 0.5 if passed % every == 0 else slow
    assert schedule.factor(iteration, 1000) == pytest.approx(slow)


def test_constant_stays() -> None:
    schedule = ScheduleSettings("constant")
    assert {schedule.factor(iteration, 10) for iteration in range(30)} == {1.0}


@pytest.mark.parametrize(
    "wrong", [{"kind": "linear"}, {"kind": "step", "step_every": 0}, {"kind": "cosine", "warm_up": -1}]
)
def test_bad_schedules_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ScheduleSettings(**wrong)
