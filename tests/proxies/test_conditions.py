"""Rewards of rows with settings of their own equal the rewards of each row with that setting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.base import Prediction
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.product import Product
from gflownet_crystal.proxies.reward import Boltzmann, LogValue, RewardFunction, Target
from gflownet_crystal.proxies.term import Term

N = 6
VALUE = torch.linspace(-1.0, 3.0, N, dtype=torch.float64)
STD = torch.linspace(0.3, 0.1, N, dtype=torch.float64)
OWN = torch.linspace(0.5, 2.0, N, dtype=torch.float64)


def prediction(rows: slice = slice(None)) -> Prediction:
    value, std = VALUE[rows], STD[rows]
    yes = torch.ones(len(value), dtype=torch.bool)
    one = Prediction(value, std, yes, ~yes)
    gap = Prediction(2.0 - value, 2.0 * std, yes, ~yes)
    return Prediction(value, std, yes, ~yes, parts={"energy": one, "gap": gap})


def product(target: float = 1.0, weight: float = 1.0, beta: float = 5.0) -> Product:
    made = Product(Boltzmann(beta), gap=Term(target=target, width=0.5, weight=weight))
    made._main = "energy"
    return made


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("beta", lambda value: Boltzmann(value, caution=1.0, floor=0.0)),
        ("beta", lambda value: Boltzmann(-value, caution=1.0)),
        ("target", lambda value: Target(value, 0.3, caution=0.5)),
        ("gap", lambda value: product(target=value)),
        ("gap_weight", lambda value: product(weight=value)),
        ("beta", lambda value: product(beta=value)),
    ],
    ids=["low", "high", "target", "target of a term", "weight", "stability"],
)
def test_each_row_has_the_reward_of_its_own_setting(
    name: str, make: Callable[[float], RewardFunction]
) -> None:
    function = make(1.0)
    sign = -1.0 if isinstance(function, Boltzmann) and function.beta < 0 else 1.0
    before = function.of_objects(None, prediction())
    together = function.at({name: sign * OWN}).of_objects(None, prediction())
    alone = [
        make(float(OWN[row])).of_objects(None, prediction(slice(row, row + 1))).item() for row in range(N)
    ]
    assert together.tolist() == pytest.approx(alone)
    assert len({round(value, 9) for value in (together - before).tolist()}) > 2
    # the function itself stays
    assert torch.equal(function.of_objects(None, prediction()), before)


def test_two_conditions_at_once_and_the_columns_of_samples_follow_them() -> None:
    values: dict[str, Tensor] = {"gap": OWN, "gap_weight": OWN.flip(0), "beta": 2.0 * OWN}
    given = product().at(values)
    expected = [
        product(float(values["gap"][row]), float(values["gap_weight"][row]), float(values["beta"][row]))
        .of_objects(None, prediction(slice(row, row + 1)))
        .item()
        for row in range(N)
    ]
    assert given.of_objects(None, prediction()).tolist() == pytest.approx(expected)
    columns = given.scored_columns(None, prediction())
    total = columns["log_reward_stability"] + columns["log_reward_gap"]
    assert total.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("function", "ranges", "told"),
    [
        (LogValue(), {"beta": (1.0, 2.0)}, "choose one of none"),
        (Boltzmann(1.0), {"target": (1.0, 2.0)}, "choose one of beta"),
        (product(), {"gapp": (1.0, 2.0)}, "did you mean gap"),
        (product(), {"gap_weight": (0.0, 2.0)}, "weights are above 0"),
        (Product(None, gap=Term(window=(1.0, 2.0))), {"gap": (1.0, 2.0)}, "gap_weight"),
        (Product(None, gap=Term(window=(1.0, 2.0))), {"beta": (1.0, 2.0)}, "choose one of gap_weight"),
    ],
)
def test_settings_that_a_reward_cannot_be_conditioned_on_are_told(
    function: RewardFunction, ranges: dict[str, tuple[float, float]], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        function.check_conditions(ranges)


def test_discovery_takes_positive_inverse_temperatures() -> None:
    function = Discovery(beta=10.0)
    function.check_conditions({"beta": (4.0, 32.0)})
    with pytest.raises(ConfigError, match="values above 0"):
        function.check_conditions({"beta": (0.0, 32.0)})
    together = function.at({"beta": OWN})(VALUE, STD)
    alone = [Discovery(beta=float(OWN[row]))(VALUE[row], STD[row]).item() for row in range(N)]
    assert together.tolist() == pytest.approx(alone)
