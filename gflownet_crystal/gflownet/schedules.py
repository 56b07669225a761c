"""Quantities that change over training, as pure functions of the iteration: nothing to store, nothing timed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.policies.distributions import Behaviour

KINDS = ("constant", "cosine", "step")


@dataclass(frozen=True)
class LearningRateSchedule:
    """Factor on the learning rates.

    Attributes:
        kind: ``constant``, ``cosine`` (half a cosine from 1 to ``final_factor``) or ``step`` (times ``step_factor``
            after every ``step_every`` iterations).
        iterations: number of iterations of the whole training.
        warm_up: iterations over which the factor first rises linearly.
        final_factor: factor at the end of the cosine.
        step_every: iterations.
        step_factor: factor of each step.

    Raises:
        ConfigError: unknown kind or numbers out of range.
    """

    kind: str
    iterations: int
    warm_up: int = 0
    final_factor: float = 0.0
    step_every: int = 1000
    step_factor: float = 0.5

    def __post_init__(self) -> None:
        fit_fields(self, "schedule")
        if self.kind not in KINDS:
            raise ConfigError(f"schedule.kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.warm_up < 0 or self.step_every < 1 or self.final_factor < 0.0 or not self.step_factor > 0.0:
            raise ConfigError(
                "a schedule needs warm_up >= 0, final_factor >= 0, step_every >= 1 and step_factor > 0; got "
                f"{self.warm_up}, {self.final_factor}, {self.step_every} and {self.step_factor}"
            )

    def factor(self, iteration: int) -> float:
        """The factor at ``iteration``, counted from 0."""
        if iteration < self.warm_up:
            return (iteration + 1) / self.warm_up
        if self.kind == "constant":
            return 1.0
        passed = iteration - self.warm_up
        if self.kind == "step":
            return float(self.step_factor ** (passed // self.step_every))
        progress = min(1.0, passed / max(1, self.iterations - self.warm_up))
        return self.final_factor + (1.0 - self.final_factor) * 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class BehaviourSchedule:
    """Exploration and temperature, each linear from its start to its end over ``iterations`` and constant after.

    Attributes:
        exploration: probability of a uniformly drawn allowed action, at the start.
        exploration_final: exploration at the end.
        temperature: temperature of the behaviour policy at the start.
        temperature_final: temperature at the end.
        iterations: length of the slope.
    """

    exploration: float
    exploration_final: float
    temperature: float
    temperature_final: float
    iterations: int

    def __post_init__(self) -> None:
        fit_fields(self)
        # both ends are checked now, so that a long training does not fail on its last iteration
        Behaviour(self.exploration, self.temperature)
        Behaviour(self.exploration_final, self.temperature_final)

    def behaviour(self, iteration: int) -> Behaviour:
        """Behaviour policy at ``iteration``, counted from 0."""
        progress = min(1.0, iteration / max(1, self.iterations))
        return Behaviour(
            self.exploration + progress * (self.exploration_final - self.exploration),
            self.temperature + progress * (self.temperature_final - self.temperature),
        )
