"""Learning rates over a training, as pure functions of its progress: nothing to store, nothing timed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative, Positive, Whole


def cosine(progress: float, final: float = 0.0, warm_up: float = 0.0) -> float:
    """A linear rise to 1 at progress ``warm_up``, then half a cosine to ``final`` at progress 1, which then stays."""
    if progress < warm_up:
        return progress / warm_up
    fall = min(1.0, (progress - warm_up) / (1.0 - warm_up))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * fall))


@dataclass(frozen=True)
class ScheduleSettings(CheckedFields):
    """Schedule of the learning rates.

    Attributes:
        kind: ``constant``, ``cosine`` (half a cosine from 1 to ``final_factor``) or ``step`` (times ``step_factor``
            after every ``step_every`` iterations).
        warm_up: iterations over which the factor first rises linearly.
        final_factor: factor at the end of the cosine.
        step_every: iterations.
        step_factor: factor of each step.
    """

    place = "trainer.schedule"

    kind: Literal["constant", "cosine", "step"] = "cosine"
    warm_up: Whole = 0
    final_factor: NonNegative = 0.02
    step_every: Count = 1000
    step_factor: Positive = 0.5

    def factor(self, iteration: int, iterations: int) -> float:
        """Factor on the learning rates at an iteration, counted from 0, of a training of so many."""
        if iteration < self.warm_up:
            return (iteration + 1) / self.warm_up
        passed = iteration - self.warm_up
        if self.kind == "cosine":
            return cosine(passed / max(1, iterations - self.warm_up), self.final_factor)
        return 1.0 if self.kind == "constant" else float(self.step_factor ** (passed // self.step_every))
