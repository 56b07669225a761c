"""The reward of several properties: a product of one factor each."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import HULL_COLUMN, TERM_PREFIX, WITHIN_LIMITS
from gflownet_crystal.proxies.base import Prediction, Proxy
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.finds import History
from gflownet_crystal.proxies.limits import Limits
from gflownet_crystal.proxies.reward import RewardFunction
from gflownet_crystal.proxies.several import SeveralProxies, is_energy
from gflownet_crystal.proxies.term import Term

STABILITY = "stability"
"""Name of the factor for stable crystals."""

T = TypeVar("T")
_WEIGHT = "_weight"


class Product(RewardFunction):
    """``log R`` is the sum of the log-reward for stable crystals and of weight times log factor of each property.

    Args:
        stability: reward of the main proxy, an energy; None for the properties alone.
        terms: wish for each property by the name of its proxy, as :class:`~gflownet_crystal.proxies.term.Term` or as
            its settings; those without any setting are left out.

    Raises:
        ConfigError: a setting is out of range, or no property has a term.
    """

    takes_several: ClassVar[bool] = True

    def __init__(
        self, stability: RewardFunction | None = None, **terms: Term | Mapping[str, object] | None
    ) -> None:
        if stability is not None and not isinstance(stability, RewardFunction):
            raise ConfigError(f"reward.stability must be a reward or null, not {stability!r}")
        made = {name: Term.of(term, f"reward.{name}") for name, term in terms.items() if term is not None}
        self.stability = stability
        self.terms = {name: term for name, term in made.items() if term is not None}
        self._functions = {name: term.function() for name, term in self.terms.items()}
        self._weights: dict[str, float | Tensor] = {name: term.weight for name, term in self.terms.items()}
        self._units: dict[str, str] = {}
        self._main = ""

    @property
    def history(self) -> History | None:
        """History of the reward for stable crystals."""
        return None if self.stability is None else self.stability.history

    def bind(self, proxy: Proxy) -> None:
        """Check that each term has a proxy.

        Raises:
            ConfigError: a term has none, or asks for values that the property never has; no term is given; or no proxy
                predicts the energy that stability needs.
        """
        if not isinstance(proxy, SeveralProxies):
            raise ConfigError(
                f"reward=product takes several proxies, as proxy=[mlp,band_gap], not {type(proxy).__name__} alone"
            )
        names = ", ".join(proxy.proxies)
        if strange := [name for name in self.terms if name not in proxy.proxies]:
            raise ConfigError(f"reward.{strange[0]}: no proxy predicts {strange[0]}; choose one of {names}")
        if not self.terms:
            example = list(proxy.proxies)[-1]
            raise ConfigError(
                f"reward=product has no term: give a term for one of {names}, as reward.{example}.window=[low,high]"
            )
        if isinstance(self.stability, Discovery) and not is_energy(proxy.proxies[proxy.main]):
            raise ConfigError(
                f"reward.stability needs a proxy of energies beside {names}, as proxy=[mlp,...]; add one, or give "
                "reward.stability=null"
            )
        if self.stability is not None:
            self.stability.bind(proxy.proxies[proxy.main])
        self._main, self._units = proxy.main, {name: one.unit for name, one in proxy.proxies.items()}
        for name, term in self.terms.items():
            least = getattr(proxy.proxies[name], "minimum", None)
            if least is not None and term.has_limits and term.limits[1] < least:
                raise ConfigError(
                    f"reward.{name}: no value is below {term.limits[1]:g}, as the least {name} is {least:g} "
                    f"{self._units[name]}; raise the limit"
                )

    @property
    def conditions(self) -> tuple[str, ...]:  # type: ignore[override]
        """``beta`` of the stability, the names of properties with a target, and ``NAME_weight`` of terms."""
        own = () if self.stability is None else self.stability.conditions
        targets = [name for name, term in self.terms.items() if term.target is not None]
        weights = [f"{name}{_WEIGHT}" for name, term in self.terms.items() if not term.hard]
        return (*own, *targets, *weights)

    def check_conditions(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """See :meth:`RewardFunction.check_conditions`; weights are above 0, and beta as the stability has it."""
        super().check_conditions(ranges)
        own, _ = self._split(ranges)
        if self.stability is not None:
            self.stability.check_conditions(own)
        for name, (low, _) in ranges.items():
            if name.endswith(_WEIGHT) and not low > 0.0:
                raise ConfigError(f"condition.{name} starts at {low:g}; weights are above 0")

    def at(self, values: Mapping[str, Tensor]) -> Self:
        """See :meth:`RewardFunction.at`."""
        own, of_terms = self._split(values)
        other = copy.copy(self)
        if self.stability is not None:
            other.stability = self.stability.at(own)
        targets = {name: value for name, value in of_terms.items() if name in self.terms}
        other._functions = self._functions | {
            name: self._functions[name].at({"target": value}) for name, value in targets.items()
        }
        other._weights = self._weights | {
            name.removesuffix(_WEIGHT): value for name, value in of_terms.items() if name not in targets
        }
        return other

    def _split(self, values: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
        """Conditions of the stability, and those of the terms."""
        own = () if self.stability is None else self.stability.conditions
        first = {name: value for name, value in values.items() if name in own}
        return first, {name: value for name, value in values.items() if name not in own}

    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        """Refuse values of one property.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("reward=product is made of the predictions of several proxies, not of one property")

    def of_objects(self, objects: Any, prediction: Prediction) -> Tensor:
        """Log-rewards (n,) float64 of n objects and their predictions by several proxies."""
        return torch.stack(list(self._factors(objects, prediction).values())).sum(0)

    def _factors(self, objects: Any, prediction: Prediction) -> dict[str, Tensor]:
        """Weighted log factors (n,) float64 by name; 0 for a constraint."""
        parts, found = prediction.parts, {}
        if self.stability is not None:
            found[STABILITY] = self.stability.of_objects(objects, parts[self._main])
        for name, term in self.terms.items():
            value, std = parts[name].value, parts[name].std
            found[name] = (
                torch.zeros_like(value)
                if term.hard
                else self._weights[name] * self._functions[name](value, std)
            )
        return found

    def _met(self, prediction: Prediction, hard_only: bool) -> Tensor | None:
        """Whether the limits hold for each object, (n,) bool; None where there are none."""
        met = [
            function.met(prediction.parts[name].value)
            for name, function in self._functions.items()
            if isinstance(function, Limits) and (self.terms[name].hard or not hard_only)
        ]
        return torch.stack(met).all(0) if met else None

    def excluded(self, prediction: Prediction) -> Tensor | None:
        """Objects (n,) bool outside a hard limit; None without one."""
        met = self._met(prediction, hard_only=True)
        return None if met is None else ~met

    def columns(self, objects: Any) -> dict[str, Tensor]:
        """Columns of the reward for stable crystals."""
        return {} if self.stability is None else self.stability.columns(objects)

    def scored_columns(self, objects: Any, prediction: Prediction) -> dict[str, Tensor]:
        """Columns of a table of samples, (n,) each.

        Returns:
            ``e_above_hull`` by the main proxy where that is known, ``log_reward_NAME`` of each term, ``within_limits``
            where there are limits, and the columns of the reward for stable crystals.
        """
        found: dict[str, Tensor] = {}
        if isinstance(self.stability, Discovery):
            found[HULL_COLUMN] = self.stability.above_hull(objects, prediction.parts[self._main])
        found |= {
            f"{TERM_PREFIX}{name}": values for name, values in self._factors(objects, prediction).items()
        }
        met = self._met(prediction, hard_only=False)
        return found | ({} if met is None else {WITHIN_LIMITS: met}) | self.columns(objects)

    def describe(self) -> str:
        """The reward in a few lines."""
        lines = ["reward product: log R is the sum of the terms"]
        if self.stability is not None:
            lines.append(f"  {STABILITY}: {self.stability.describe() or type(self.stability).__name__}")
        for name, unit in self._units.items():
            if name in self.terms:
                lines.append(f"  {name}: {self.terms[name].describe(unit)}")
            elif self.stability is None or name != self._main:
                lines.append(f"  {name}: no term, a column of the samples only")
        return "\n".join(lines)


def discovery_of(function: RewardFunction) -> Discovery | None:
    """The reward for discovery, alone or as the stability of a product; None where there is none."""
    inner = function.stability if isinstance(function, Product) else function
    return inner if isinstance(inner, Discovery) else None
