"""From a proxy's value to the log-reward, in one place."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, GFlowNetCrystalError, ProxyError, unknown
from gflownet_crystal.proxies.base import Prediction, Proxy, checked_column, object_name
from gflownet_crystal.proxies.finds import History
from gflownet_crystal.proxies.several import SeveralProxies

INVALID_CHOICES = ("raise", "penalise")


def _check_caution(caution: float) -> None:
    if caution < 0.0:
        raise ConfigError(f"reward.caution is {caution}; a weight of the standard deviation is at least 0")


class RewardFunction(ABC):
    """A map from a prediction to a log-reward; dimensionless.

    A subclass writes ``__call__``. One whose reward depends on the objects too, such as the novelty of a crystal, also
    writes ``of_objects``; the other methods have defaults that suit most.

    Attributes:
        takes_several: whether the reward is made of the predictions of several proxies.
        conditions: names of settings that a sampler can be conditioned on, such as an inverse temperature: attributes
            that may also be (n,) float64 tensors, a value for each row.
    """

    takes_several: ClassVar[bool] = False
    conditions: tuple[str, ...] = ()

    @abstractmethod
    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        """(n,) float64 values and standard deviations, in the proxy's unit, to (n,) float64 log-rewards."""

    @property
    def history(self) -> History | None:
        """History of a training's finds, where it changes the log-reward while it runs; else None."""
        return None

    def of_objects(self, objects: Any, prediction: Prediction) -> Tensor:
        """Log-rewards (n,) float64 of n objects.

        Args:
            objects: objects of the kind that the proxy takes.
            prediction: prediction of the proxy.
        """
        return self(prediction.value, prediction.std)

    def bind(self, proxy: Proxy) -> None:  # noqa: B027
        """Check that a proxy predicts the property of this reward; called once, before any object is scored."""

    def check_conditions(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Check that a sampler can be conditioned on these ranges of settings.

        Args:
            ranges: lowest and highest value by name.

        Raises:
            ConfigError: the reward has no such setting, or not in that range.
        """
        for name in ranges:
            if name not in self.conditions:
                raise unknown(f"condition of reward {type(self).__name__}", name, self.conditions)

    def at(self, values: Mapping[str, Tensor]) -> Self:
        """This reward of n objects with settings of each object's own.

        Args:
            values: (n,) float64 by the name of the setting, one of ``conditions``.
        """
        other = copy.copy(self)
        for name, value in values.items():
            setattr(other, name, value)
        return other

    def excluded(self, prediction: Prediction) -> Tensor | None:
        """Objects (n,) bool that a constraint excludes, whose log-reward is the penalty; None without constraints."""
        return None

    def columns(self, objects: Any) -> dict[str, Tensor]:
        """Further columns of a table of n samples: (n,) tensors by name."""
        return {}

    def scored_columns(self, objects: Any, prediction: Prediction) -> dict[str, Tensor]:
        """Further columns of a table of n samples, those made of the prediction among them."""
        return self.columns(objects)

    def describe(self) -> str:
        """The reward in a line or two, told when a training starts; empty to tell nothing."""
        return ""


class Boltzmann(RewardFunction):
    """``log R = -beta (value + caution * std)``: low values are good (Crystal-GFN, section 3.4).

    Args:
        beta: inverse temperature, per unit of the value. Negative to seek high values.
        caution: number of standard deviations added to the predicted energy, as pessimism.
        floor: values below it count as it, or None; closes holes of a proxy that has a known lowest value.

    Raises:
        ConfigError: a setting is no finite number, or ``caution`` is below 0.
    """

    conditions = ("beta",)

    def __init__(self, beta: float, caution: float = 0.0, floor: float | None = None) -> None:
        _check_finite(beta=beta, caution=caution, floor=floor)
        _check_caution(caution)
        self.beta, self.caution, self.floor = beta, caution, floor

    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        beta = torch.as_tensor(self.beta, dtype=torch.float64, device=value.device)
        doubt = self.caution * std
        pessimistic = torch.where(beta > 0, value + doubt, value - doubt)
        if self.floor is not None:
            pessimistic = pessimistic.clamp(min=self.floor)
        return -beta * pessimistic


class Target(RewardFunction):
    """``log R = -((value - target) / width)^2 / 2``: values near a target are good.

    Beyond ``reach`` widths log R falls linearly, with the slope that it has there: a sampler for a range of targets
    would else learn little but the large numbers of values far away.

    Args:
        target: in the unit of the value.
        width: in the unit of the value, positive; the value's own std is added in quadrature ``caution`` times.
        caution: weight of the std.
        reach: number of widths beyond which log R is linear, above 0; None for none.

    Raises:
        ConfigError: a setting is no finite number, ``width`` or ``reach`` is not above 0, or ``caution`` is below 0.
    """

    conditions = ("target",)

    def __init__(self, target: float, width: float, caution: float = 0.0, reach: float | None = None) -> None:
        _check_finite(target=target, width=width, caution=caution, reach=reach)
        _check_caution(caution)
        if not width > 0.0:
            raise ConfigError(f"reward width must be positive, not {width}")
        if reach is not None and not reach > 0.0:
            raise ConfigError(f"reward.reach must be above 0, or null, not {reach}")
        self.target, self.width, self.caution, self.reach = target, width, caution, reach

    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        square = ((value - self.target).square() + (self.caution * std).square()) / self.width**2
        if self.reach is None:
            return -0.5 * square
        near = square.clamp(max=self.reach**2)
        # where the square is not clamped, both roots are equal and the second part is 0
        return -0.5 * near - self.reach * (square.clamp(min=self.reach**2).sqrt() - self.reach)


def _check_finite(**settings: float | None) -> None:
    """Refuse settings of a reward that are not finite numbers; NaN passes every comparison."""
    for name, value in settings.items():
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"reward.{name} must be finite, not {value}")


class LogValue(RewardFunction):
    """``log R = log value``: the value is the reward itself, positive."""

    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        return value.log()


@dataclass(frozen=True)
class Scored:
    """Predictions and log-rewards of n objects.

    Attributes:
        prediction: prediction of the proxy.
        log_reward: (n,) float64, finite.
        n_invalid: objects that took a penalty, this one's or the proxy's own.
    """

    prediction: Prediction
    log_reward: Tensor
    n_invalid: int


class Reward:
    """A proxy and a reward function: the one way to a log-reward.

    Args:
        proxy: says the value.
        function: turns it into a log-reward.
        invalid: ``raise`` on a value that is not finite, or ``penalise`` it with ``penalty``.
        penalty: log-reward of an invalid object, and the highest of one that a constraint of the function excludes.

    Raises:
        ConfigError: unknown ``invalid``, a ``penalty`` that is no finite number, or a proxy that the
            function is not made for.
    """

    def __init__(
        self, proxy: Proxy, function: RewardFunction, invalid: str = "raise", penalty: float = -100.0
    ) -> None:
        if invalid not in INVALID_CHOICES:
            raise ConfigError(f"reward.invalid is one of {', '.join(INVALID_CHOICES)}, not {invalid!r}")
        _check_finite(penalty=penalty)
        if isinstance(proxy, SeveralProxies) and not function.takes_several:
            raise ConfigError(
                f"reward {type(function).__name__} takes one property, but proxy=[{','.join(proxy.proxies)}] predicts "
                "one each; choose reward=product, or one proxy"
            )
        function.bind(proxy)
        self.proxy, self.function, self.invalid, self.penalty = proxy, function, invalid, penalty

    @property
    def history(self) -> History | None:
        """History of a training's finds, where it changes the log-reward while it runs."""
        return self.function.history

    def at(self, values: Mapping[str, Tensor]) -> Reward:
        """The reward of n objects under conditions, (n,) float64 by name."""
        other = copy.copy(self)
        other.function = self.function.at(values)
        return other

    def in_training(self, objects: Any) -> Scored:
        """Score n objects sampled in training: log-rewards of a call, minus the cost of the history."""
        scored = self(objects)
        if self.history is None:
            return scored
        return replace(scored, log_reward=scored.log_reward - self.history.cost(objects))

    def __call__(self, objects: Any) -> Scored:
        """Score n objects of the kind the proxy takes.

        Raises:
            ProxyError: the proxy or the reward function fails or breaks its contract; or a value or log-reward is not
                finite and ``invalid`` is ``raise``; names the first such object.
        """
        prediction = self.proxy(objects)
        name = f"reward {type(self.function).__name__}"
        try:
            log_reward = self.function.of_objects(objects, prediction)
        except (TypeError, ValueError, ArithmeticError, RuntimeError, LookupError) as error:
            if isinstance(error, GFlowNetCrystalError | torch.OutOfMemoryError):
                raise
            reason = " ".join(str(error).split())
            raise ProxyError(f"{name} failed with {type(error).__name__} ({reason})") from error
        log_reward = checked_column(log_reward, len(prediction.value), name)
        bad = ~(prediction.valid & torch.isfinite(log_reward))
        # both in one wait for a GPU
        n_bad, n_invalid = torch.stack([bad.sum(), (bad | prediction.penalised).sum()]).tolist()
        if self.invalid == "raise" and n_bad:
            raise ProxyError(self._complaint(prediction, log_reward, bad, objects))
        excluded = self.function.excluded(prediction)
        if excluded is not None:
            log_reward = torch.where(excluded, log_reward.clamp(max=self.penalty), log_reward)
        return Scored(prediction, log_reward.masked_fill(bad, self.penalty), n_invalid)

    def _complaint(self, prediction: Prediction, log_reward: Tensor, bad: Tensor, objects: Any) -> str:
        first = int(bad.nonzero()[0])
        name, found = type(self.proxy).__name__, prediction
        # of several proxies the first that gave no number
        for part, own in prediction.parts.items():
            if not bool(own.valid[first]):
                name, found = part, own
                break
        gave = f"proxy {name} gave {float(found.value[first])} (std {float(found.std[first])})"
        advice = "correct the proxy"
        if bool(prediction.valid[first]):
            gave += f", of which reward {type(self.function).__name__} makes {float(log_reward[first])},"
            advice = "choose another reward"
        return (
            f"{gave} for {int(bad.sum())} of {len(bad)} objects, first at row {first}: {object_name(objects, first)}; "
            f"{advice} or set reward.invalid=penalise"
        )
