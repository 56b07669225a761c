"""Terms of a reward of several properties: the wish for one property."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Self

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.limits import Limits
from gflownet_crystal.proxies.reward import Boltzmann, RewardFunction, Target

GOALS = ("maximise", "minimise", "target", "window", "above", "below")
_EDGE_OF_WINDOW, _EDGE_OF_LIMIT = 0.25, 0.1
REACH = 2.0
"""Widths of a target beyond which the log factor falls linearly."""


@dataclass(frozen=True)
class Term:
    """Wish for one property: one goal, and its weight.

    Attributes:
        maximise: inverse temperature, per unit of the property: log factor = maximise (value - caution std).
        minimise: inverse temperature: log factor = -minimise (value + caution std).
        target: wanted value: log factor = -((value - target)^2 + (caution std)^2) / (2 width^2), and beyond two widths
            linear, with the slope there.
        window: lower and upper limit: the factor is the probability that the property lies between them, see
            :class:`~gflownet_crystal.proxies.limits.Limits`.
        above: lower limit alone.
        below: upper limit alone.
        width: width of the edges of limits, or of the target, in the unit of the property; None for a quarter of the
            window, and a tenth of a limit or target.
        caution: number of standard deviations of the proxy that count against the sampler; None for 0 with a target and
            1 otherwise. Near a target, a certain value far away would count for more than an uncertain one at it.
        weight: factor of the log factor.
        hard: whether the limits are a constraint: objects outside get the penalty of invalid ones, objects inside no
            factor.
    """

    maximise: float | None = None
    minimise: float | None = None
    target: float | None = None
    window: tuple[float, ...] | None = None
    above: float | None = None
    below: float | None = None
    width: float | None = None
    caution: float | None = None
    weight: float = 1.0
    hard: bool = False

    @classmethod
    def of(cls, settings: object, place: str) -> Self | None:
        """The term of a section; None where the section leaves everything as it is.

        Args:
            settings: values by key.
            place: place in the configuration, as ``reward.band_gap``.

        Raises:
            ConfigError: an unknown key, a value out of range, or not one goal.
        """
        if isinstance(settings, cls):
            return settings.checked(place)
        example = f"{place}.window=[low,high]"
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"{place} must be a section of keys with values, as {example}, not {settings!r}"
            )
        names = [field.name for field in fields(cls)]
        if strange := [str(name) for name in settings if name not in names]:
            close = get_close_matches(strange[0], names, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ConfigError(f"{place} has no key {strange[0]!r}{hint}; choose one of {', '.join(names)}")
        term = cls(**settings)
        # run folders of earlier versions hold the caution of terms without a goal
        return None if term in (cls(), cls(caution=1.0)) else term.checked(place)

    @property
    def goals(self) -> list[str]:
        """Names of the goals that are given."""
        return [name for name in GOALS if getattr(self, name) is not None]

    @property
    def has_limits(self) -> bool:
        """Whether the goal is to lie within limits."""
        return self.goals[0] in ("window", "above", "below")

    def checked(self, place: str) -> Self:
        """The term itself, its values checked.

        Args:
            place: place in the configuration, for messages.

        Raises:
            ConfigError: a value is out of range, or not one goal is given.
        """
        fit_fields(self, place)
        if len(self.goals) != 1:
            given = " and ".join(f"{place}.{name}" for name in self.goals)
            found = f"{given} are both goals" if given else f"{place} has no goal"
            raise ConfigError(f"{found}; give one of {', '.join(GOALS)}, two limits as window=[low,high]")
        goal = self.goals[0]
        if self.window is not None and not (len(self.window) == 2 and self.window[0] < self.window[1]):
            raise ConfigError(
                f"{place}.window must be two numbers, the lower limit and then a higher one, not {list(self.window)}"
            )
        for name in ("maximise", "minimise", "width", "weight"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise ConfigError(f"{place}.{name} must be above 0, not {value}")
        if self.doubt < 0.0:
            raise ConfigError(f"{place}.caution must be at least 0, not {self.caution}")
        if self.hard and not self.has_limits:
            raise ConfigError(f"{place}.hard applies to limits only: give {place}.window, above or below too")
        if self.width is not None and (self.hard or goal in GOALS[:2]):
            raise ConfigError(
                f"{place}.width has no effect {'on a hard limit' if self.hard else f'with {goal}'}"
            )
        if not self.hard and goal not in GOALS[:2] and not self.edge > 0.0:
            raise ConfigError(
                f"{place}.width must be given, as a tenth of {goal}={getattr(self, goal)} is no width"
            )
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper limit, infinite where there is none."""
        if self.window is not None:
            return self.window[0], self.window[1]
        low = -math.inf if self.above is None else self.above
        return low, math.inf if self.below is None else self.below

    @property
    def edge(self) -> float:
        """Width of the edges, or of the target."""
        if self.width is not None:
            return self.width
        if self.window is not None:
            return _EDGE_OF_WINDOW * (self.window[1] - self.window[0])
        given = (self.target, self.above, self.below)
        return _EDGE_OF_LIMIT * abs(next(value for value in given if value is not None))

    @property
    def doubt(self) -> float:
        """Number of standard deviations that count against the sampler."""
        if self.caution is not None:
            return self.caution
        return 0.0 if self.target is not None else 1.0

    def function(self) -> RewardFunction:
        """The log factor of values and standard deviations, before the weight."""
        if self.maximise is not None:
            return Boltzmann(-self.maximise, self.doubt)
        if self.minimise is not None:
            return Boltzmann(self.minimise, self.doubt)
        if self.target is not None:
            return Target(self.target, self.edge, self.doubt, REACH)
        low, high = self.limits
        own = (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)
        return Limits(*own, 1.0 if self.hard else self.edge, self.doubt)

    def describe(self, unit: str) -> str:
        """The goal in words, in the unit of the property."""
        low, high = self.limits
        goal = self.goals[0]
        words = {
            "maximise": f"high, inverse temperature {self.maximise} per {unit}",
            "minimise": f"low, inverse temperature {self.minimise} per {unit}",
            "target": f"near {self.target} {unit}",
            "window": f"from {low:g} to {high:g} {unit}",
            "above": f"above {low:g} {unit}",
            "below": f"below {high:g} {unit}",
        }[goal]
        if self.hard:
            return f"{words}, as a constraint"
        words += "" if goal in GOALS[:2] else f", width {self.edge:g} {unit}"
        return f"{words}, weight {self.weight:g}" if self.weight != 1.0 else words
