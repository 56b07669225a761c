"""Stages that move in a unit box by jumps of at least a minimum length.

From the source the first jump may land anywhere. Each later jump moves every free coordinate up by at least ``m``:
``x' = x + m + r (1 - x - m)`` with ``r`` in (0, 1), so no trajectory has more than ``1 / m + 1`` jumps (Crystal-GFN,
appendix C; Lahlou et al. 2023, continuous GFlowNets, for the box with back-to-source).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Action, Context, Jump, JumpActions, JumpSupport, Stage, State

_LEAST_INCREMENT = 1e-6
_TINY = 1e-300
_RESOLUTION = 2.0**-53


@dataclass(frozen=True)
class JumpState(TensorBatch):
    """A point of the unit box on its way.

    Attributes:
        position: (n, d) float64 in [0, 1]; 0 at the source and in dimensions that are not free.
        started: (n,) bool; the first jump was made.
        stopped: (n,) bool; the stage is over.
        free: (n, d) bool; dimensions that move, fixed by the context.
    """

    position: Tensor
    started: Tensor
    stopped: Tensor
    free: Tensor


class JumpStage(Stage):
    """Jumps of at least ``minimum_increment`` in a box of ``dimensions``; subclasses say which dimensions are free.

    Args:
        name: key of the stage.
        dimensions: dimensions of the box.
        minimum_increment: smallest move of each free coordinate after the first jump, as a fraction of the box.

    Raises:
        ConfigError: the minimum increment is not in [1e-6, 1).
    """

    def __init__(self, name: str, dimensions: int, minimum_increment: float) -> None:
        if not _LEAST_INCREMENT <= minimum_increment < 1.0:
            raise ConfigError(f"minimum_increment must lie in [1e-6, 1), not {minimum_increment}")
        self.name = name
        self.dimensions = dimensions
        self.minimum_increment = minimum_increment
        self.forward_actions = JumpActions(dimensions)
        self.backward_actions = JumpActions(dimensions)
        self.max_transitions = math.floor(1.0 / minimum_increment) + 2
        self.n_features = 2 * dimensions + 1
        self.n_summary = 2 * dimensions

    @abstractmethod
    def free_dimensions(self, context: Context) -> Tensor:
        """(n, d) bool: dimensions that move, given what the earlier stages chose."""

    def source(self, context: Context) -> JumpState:
        free = self.free_dimensions(context)
        never = torch.zeros(len(free), dtype=torch.bool, device=free.device)
        return JumpState(torch.zeros(free.shape, dtype=torch.float64, device=free.device), never, never, free)

    def terminal(self, position: Tensor, context: Context) -> JumpState:
        """The stopped state at ``position`` ((n, d) in [0, 1]); coordinates that are not free are dropped."""
        free = self.free_dimensions(context)
        always = torch.ones(len(free), dtype=torch.bool, device=free.device)
        return JumpState(position.double().masked_fill(~free, 0.0), always, always, free)

    def finished(self, state: State) -> Tensor:
        return cast(JumpState, state).stopped

    def at_source(self, state: State) -> Tensor:
        return ~cast(JumpState, state).started

    def forward_support(self, state: State, context: Context) -> JumpSupport:
        at = cast(JumpState, state)
        room = 1.0 - at.position - self.minimum_increment
        crowded = (at.free & (room <= 0.0)).any(dim=1) & at.started
        width = torch.where(at.started[:, None], room, torch.ones_like(room))
        return JumpSupport(at.free, at.started, crowded, width.clamp(min=_TINY).log())

    def backward_support(self, state: State, context: Context) -> JumpSupport:
        at = cast(JumpState, state)
        room = at.position - self.minimum_increment
        forced = (at.free & (room <= 0.0)).any(dim=1) | at.stopped
        return JumpSupport(at.free, torch.ones_like(at.started), forced, room.clamp(min=_TINY).log())

    def step(self, state: State, action: Action, context: Context) -> JumpState:
        at, jump = cast(JumpState, state), cast(Jump, action)
        room = torch.where(at.started[:, None], 1.0 - at.position - self.minimum_increment, 1.0)
        start = torch.where(at.started[:, None], at.position + self.minimum_increment, 0.0)
        moved = torch.where(at.free, start + torch.sigmoid(jump.log_odds) * room, at.position)
        position = torch.where(jump.flag[:, None], at.position, moved)
        return JumpState(position, at.started | ~jump.flag, at.stopped | jump.flag, at.free)

    def step_back(self, state: State, action: Action, context: Context) -> JumpState:
        at, jump = cast(JumpState, state), cast(Jump, action)
        reopened = at.stopped
        to_source = jump.flag & ~reopened
        moved = torch.sigmoid(jump.log_odds) * (at.position - self.minimum_increment)
        position = torch.where((jump.flag[:, None]) | ~at.free, at.position, moved)
        position = position.masked_fill(to_source[:, None], 0.0)
        return JumpState(position, at.started & ~to_source, torch.zeros_like(at.stopped), at.free)

    def forward_action(self, parent: State, child: State, context: Context) -> Jump:
        before, after = cast(JumpState, parent), cast(JumpState, child)
        start = torch.where(before.started[:, None], before.position + self.minimum_increment, 0.0)
        return Jump(after.stopped, _log_odds(after.position - start, 1.0 - after.position))

    def backward_action(self, parent: State, child: State, context: Context) -> Jump:
        before, after = cast(JumpState, parent), cast(JumpState, child)
        rest = after.position - self.minimum_increment - before.position
        return Jump(after.stopped | ~before.started, _log_odds(before.position, rest))

    def undoing(self, action: Action, parent: State, child: State, context: Context) -> Jump:
        """As :meth:`backward_action`, from the fraction jumped: the difference of positions may round to zero."""
        before, jump = cast(JumpState, parent), cast(Jump, action)
        room = 1.0 - before.position - self.minimum_increment
        log_jumped = logsigmoid(jump.log_odds) + room.clamp(min=_TINY).log()
        undone = self.backward_action(parent, child, context)
        return Jump(undone.flag, before.position.clamp(min=_TINY).log() - log_jumped)

    def redoing(self, action: Action, parent: State, child: State, context: Context) -> Jump:
        """As :meth:`forward_action`, from the fraction kept by the backward jump."""
        before, after, jump = cast(JumpState, parent), cast(JumpState, child), cast(Jump, action)
        redone = self.forward_action(parent, child, context)
        room = after.position - self.minimum_increment
        log_jumped = logsigmoid(-jump.log_odds) + room.clamp(min=_TINY).log()
        log_odds = log_jumped - (1.0 - after.position).clamp(min=_RESOLUTION).log()
        return Jump(redone.flag, torch.where(before.started[:, None], log_odds, redone.log_odds))

    def features(self, state: State) -> Tensor:
        at = cast(JumpState, state)
        return torch.cat([at.position, at.free, at.started[:, None]], dim=1).float()

    def summary(self, state: State) -> Tensor:
        at = cast(JumpState, state)
        return torch.cat([at.position, at.free], dim=1).float()


def _log_odds(part: Tensor, rest: Tensor) -> Tensor:
    # near 1 a position is known to 1e-16 only: a rest of zero is one that was rounded away
    return part.clamp(min=_TINY).log() - rest.clamp(min=_RESOLUTION).log()
