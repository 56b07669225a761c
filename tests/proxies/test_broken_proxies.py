"""Proxies and rewards of a user's own that break their contract: one line that names the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, ProxyError
from gflownet_crystal.proxies import Boltzmann, LogValue, Proxy, Reward
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.mlp_paper import PaperMLPProxy
from gflownet_crystal.proxies.reward import RewardFunction

POINTS = torch.arange(14, dtype=torch.float64).reshape(7, 2)


class Given(Proxy):
    """Returns whatever a function makes of the batch."""

    input_kind = "box"
    property_name = "given"
    unit = "1"

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        self.answer = answer

    def predict(self, batch: Tensor) -> Any:
        return self.answer(batch)


class Made(RewardFunction):
    """A reward that a function makes."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        self.answer = answer

    def __call__(self, value: Tensor, std: Tensor) -> Any:
        return self.answer(value)


def test_the_former_name_of_the_kind_of_input_is_read_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="Older.eats` is now called `input_kind`"):

        class Older(Proxy):
            eats = "box"

    class Younger(Older):
        pass

    class Renamed(Older):
        input_kind = "grid"

    assert (Older.input_kind, Younger.input_kind, Renamed.input_kind) == ("box", "box", "grid")
    assert Proxy.input_kind == "specs"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: (x[:, 0], 3.0 - x[:, 0]), r"deviation -1.0 for row 2: .*4., 5."),
        (lambda x: (x[:, 0], torch.complex(x[:, 0], x[:, 1])), "complex128.*real numbers"),
        (lambda x: torch.complex(x[:, 0], x[:, 1]), "complex128.*real numbers"),
        (lambda x: x[:, 0] > 3, "torch.bool.*real numbers"),
        (lambda x: x, r"shape \(7, 2\) for 7 objects; it must be \(7,\)"),
        (lambda x: (x[:, 0], x), r"shape \(7, 2\)"),
        (lambda x: (x[:, 0], x[:, 0], x[:, 0]), "3 columns"),
        (lambda x: x[:, 0].tolist(), "torch tensors, not list"),
        (lambda x: None, "torch tensors, not NoneType"),
        (lambda x: x[:, 0].numpy(), "torch tensors, not ndarray"),
    ],
)
def test_wrong_results_are_told(answer: Callable[[Tensor], Any], said: str) -> None:
    with pytest.raises(ProxyError, match=said) as raised:
        Given(answer)(POINTS)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [torch.int64, torch.float16, torch.float32])
def test_all_real_numbers_become_float64(kind: torch.dtype) -> None:
    prediction = Given(lambda x: (x[:, 0].to(kind), torch.zeros(7, dtype=kind)))(POINTS)
    assert prediction.value.dtype == prediction.std.dtype == torch.float64
    assert prediction.value.tolist() == POINTS[:, 0].tolist()


@pytest.mark.parametrize("row", range(7))
def test_an_error_names_the_object_that_it_is_of(row: int) -> None:
    def answer(batch: Tensor) -> Tensor:
        if bool((batch[:, 0] == 2 * row).any()):
            raise KeyError("no such\nelement")
        return batch[:, 0]

    with pytest.raises(ProxyError, match=f"proxy Given failed with KeyError .*row {row}: ") as raised:
        Given(answer)(POINTS)
    assert "\n" not in str(raised.value) and "test_broken_proxies.py, line" in str(raised.value)


def test_an_error_of_the_batch_alone_is_told_as_such() -> None:
    def answer(batch: Tensor) -> Tensor:
        if len(batch) > 3:
            raise RuntimeError
        return batch[:, 0]

    with pytest.raises(ProxyError, match=r"no message.*all 7 objects together"):
        Given(answer)(POINTS)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, torch.OutOfMemoryError, ConfigError])
def test_errors_that_others_know_stay_as_they_are(error: type[BaseException]) -> None:
    def answer(batch: Tensor) -> Tensor:
        raise error("kept")

    with pytest.raises(error, match="kept"):
        Given(answer)(POINTS)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda value: value[:3], r"reward Made returned shape \(3,\)"),
        (lambda value: torch.complex(value, value), "reward Made returned torch.complex128"),
        (lambda value: value.tolist(), "reward Made must return torch tensors"),
        (lambda value: 1 / 0, "reward Made failed with ZeroDivisionError"),
        (lambda value: value / (value - 4.0), "gave 4.0 .*of which reward Made makes inf.* first at row 2"),
    ],
)
def test_rewards_that_break_their_contract_are_told(answer: Callable[[Tensor], Any], said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        Reward(Given(lambda x: x[:, 0]), Made(answer))(POINTS)


def test_a_logarithm_of_a_negative_value_is_laid_to_the_reward() -> None:
    with pytest.raises(ProxyError, match=r"gave -3\.0 .*reward LogValue makes nan.*row 0"):
        Reward(Given(lambda x: x[:, 0] - 3.0), LogValue())(POINTS)
    with pytest.raises(ProxyError, match=r"gave nan .*row 0: .*correct the proxy"):
        Reward(Given(lambda x: x[:, 0] * float("nan")), Boltzmann(1.0))(POINTS)


@pytest.mark.parametrize(("proxy", "on_cpu"), [(MLPProxy, 1024), (PaperMLPProxy, 4096)])
def test_the_batch_of_a_proxy_is_whole_on_a_gpu_and_bounded_on_a_cpu(proxy: Any, on_cpu: int) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    chosen, fixed = proxy(), proxy(batch_size=100)
    assert [chosen.rows_at_a_time(n, cpu) for n in (0, 5000)] == [on_cpu, on_cpu]
    assert [chosen.rows_at_a_time(n, cuda) for n in (0, 1, 5000)] == [1, 1, 5000]
    assert fixed.rows_at_a_time(5000, cpu) == fixed.rows_at_a_time(5000, cuda) == 100
    with pytest.raises(ConfigError, match="batch_size must be at least 1 or null"):
        proxy(batch_size=0)
