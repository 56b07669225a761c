"""From values to log-rewards, and what happens to values that are none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, ProxyError
from gflownet_crystal.proxies import Boltzmann, LogValue, Proxy, Reward, Target
from gflownet_crystal.proxies.reward import RewardFunction
from gflownet_crystal.proxies.toy import BoxCorners, GridCorners


class Column(Proxy):
    """Returns its input's first column."""

    input_kind = "box"
    property_name = "column"
    unit = "1"

    def predict(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        return batch[:, 0], batch[:, 1]


POINTS = torch.tensor([[-3.0, 0.5], [1.0, 0.0], [2.0, 1.0]])


def test_boltzmann_is_the_papers_formula() -> None:
    log_reward = Reward(Column(), Boltzmann(beta=8.0))(POINTS).log_reward
    assert torch.allclose(log_reward.exp(), torch.exp(-8.0 * POINTS[:, 0].double()))


@pytest.mark.parametrize(("beta", "sign"), [(2.0, 1.0), (-2.0, -1.0)])
def test_caution_always_lowers_the_reward(beta: float, sign: float) -> None:
    plain = Reward(Column(), Boltzmann(beta))(POINTS).log_reward
    careful = Reward(Column(), Boltzmann(beta, caution=1.5))(POINTS).log_reward
    assert torch.allclose(plain - careful, 2.0 * 1.5 * POINTS[:, 1].double())


def test_floor_closes_holes() -> None:
    log_reward = Reward(Column(), Boltzmann(1.0, floor=-1.0))(POINTS).log_reward
    assert log_reward.tolist() == [1.0, -1.0, -2.0]


def test_target_is_highest_at_the_target() -> None:
    reward = Reward(Column(), Target(target=1.0, width=0.5))
    assert reward(POINTS).log_reward.tolist() == [-32.0, 0.0, -2.0]
    # the tangent of the parabola at two widths
    reward = Reward(Column(), Target(target=1.0, width=0.5, reach=2.0))
    assert reward(POINTS).log_reward.tolist() == [-2.0 - 2.0 * (8.0 - 2.0), 0.0, -2.0]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", [0, 1])
def test_invalid_values_raise_by_name_or_take_the_counted_penalty(broken: float, column: int) -> None:
    points = POINTS.clone()
    points[1, column] = broken
    with pytest.raises(ProxyError, match="row 1"):
        Reward(Column(), Boltzmann(1.0))(points)
    scored = Reward(Column(), Boltzmann(1.0), invalid="penalise", penalty=-50.0)(points)
    assert scored.n_invalid == 1 and float(scored.log_reward[1]) == -50.0
    assert float(scored.log_reward[0]) == 3.0


def test_a_reward_of_zero_does_not_pass_silently() -> None:
    with pytest.raises(ProxyError):
        Reward(Column(), LogValue())(torch.zeros(2, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reward(Column(), LogValue(), invalid="ignore"),
        lambda: Target(0.0, 0.0),
        lambda: Target(math.nan, 1.0),
        lambda: Target(0.0, math.nan),
        lambda: Target(0.0, math.inf),
        lambda: Boltzmann(math.nan),
        lambda: Boltzmann(math.inf),
        lambda: Boltzmann(1.0, caution=math.nan),
        lambda: Boltzmann(1.0, floor=math.nan),
        lambda: Reward(Column(), LogValue(), penalty=math.nan),
        lambda: Reward(Column(), LogValue(), penalty=-math.inf),
        lambda: GridCorners(8, r0=0.0),
        lambda: BoxCorners(2, offset=0.7),
    ],
)
def test_settings_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(3, 1), (2,), ()])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    class Wrong(Column):
        def predict(self, batch: Tensor) -> Tensor:  # type: ignore[override]
            return torch.zeros(shape)

    with pytest.raises(ProxyError, match="shape"):
        Wrong()(POINTS)


def test_box_corners_integrates_to_its_closed_form() -> None:
    proxy = BoxCorners(2, width=0.15)
    axis = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    mean = proxy(torch.cartesian_prod(axis, axis)).value.mean()
    assert float(mean.log()) == pytest.approx(proxy.log_integral(), abs=1e-5)


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Boltzmann(NAN), "reward.beta must be finite, not nan"),
        (lambda: Boltzmann(INFINITY), "reward.beta must be finite, not inf"),
        (lambda: Boltzmann(1.0, caution=NAN), "reward.caution"),
        (lambda: Boltzmann(1.0, caution=-1.0), "reward.caution is -1.0"),
        (lambda: Boltzmann(1.0, floor=NAN), "reward.floor"),
        (lambda: Target(NAN, 1.0), "reward.target"),
        (lambda: Target(1.0, NAN), "reward.width"),
        (lambda: Target(1.0, 1.0, caution=-0.5), "reward.caution"),
        (lambda: Target(1.0, 1.0, reach=0.0), "reward.reach"),
        (lambda: Reward(Column(), LogValue(), penalty=NAN), "reward.penalty"),
    ],
)
def test_settings_that_are_no_finite_numbers_are_refused_by_name(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


class Answer(Column):
    """Gives one answer whatever it is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, batch: Tensor) -> Any:
        return self.answer


REAL = torch.ones(3)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((REAL, torch.tensor([0.1, -0.2, 0.3])), "standard deviation -0.2.* for row 1"),
        ((REAL, torch.ones(3, dtype=torch.complex64)), "complex"),
        (torch.ones(3, dtype=torch.complex128), "complex"),
        ((REAL, REAL, REAL), "returned 3 columns"),
        ((REAL, torch.ones(2)), r"shape \(2,\)"),
        (1.0, "must return torch tensors, not float"),
        (None, "must return torch tensors, not NoneType"),
    ],
)
def test_answers_that_are_no_values_are_refused_whatever_is_done_with_invalid_ones(
    answer: Any, words: str
) -> None:
    for invalid in ("raise", "penalise"):
        with pytest.raises(ProxyError, match=words):
            Reward(Answer(answer), Boltzmann(1.0), invalid=invalid)(POINTS)


def test_reward_functions_that_give_no_log_reward_are_refused() -> None:
    class Odd(RewardFunction):
        def __call__(self, value: Tensor, std: Tensor) -> Tensor:
            return value[:1]

    with pytest.raises(ProxyError, match=r"reward Odd returned shape \(1,\) for 3 objects"):
        Reward(Column(), Odd())(POINTS)
