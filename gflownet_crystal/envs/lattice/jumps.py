"""Stages that move in a unit box by jumps of at least a minimum length.

From the source the first jump may land anywhere. Each later jump moves every free coordinate up by at least ``m``:
``x' = x + m + r (1 - x - m)`` with ``r`` in (0, 1), so no trajectory has more than ``1 / m + 1`` jumps (Crystal-GFN,
appendix C; Lahlou et al. 2023, continuous GFlowNets, for the box with back-to-source).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, Jump, JumpActions, JumpSupport, Stage

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


class JumpStage(Stage[JumpState, Jump, JumpSupport]):
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
        """(n, d) bool: dimensions that move, given the choices of earlier stages."""

    def source(self, context: Context) -> JumpState:
        free = self.free_dimensions(context)
        never = torch.zeros(len(free), dtype=torch.bool, device=free.device)
        return JumpState(torch.zeros(free.shape, dtype=torch.float64, device=free.device), never, never, free)

    def terminal(self, position: Tensor, context: Context) -> JumpState:
        """The stopped state at ``position`` ((n, d) in [0, 1]); coordinates that are not free are dropped."""
        free = self.free_dimensions(context)
        always = torch.ones(len(free), dtype=torch.bool, device=free.device)
        return JumpState(position.double().masked_fill(~free, 0.0), always, always, free)

    def finished(self, state: JumpState) -> Tensor:
        return state.stopped

    def at_source(self, state: JumpState) -> Tensor:
        return ~state.started

    def forward_support(self, state: JumpState, context: Context) -> JumpSupport:
        room = 1.0 - state.position - self.minimum_increment
        crowded = (state.free & (room <= 0.0)).any(dim=1) & state.started
        width = torch.where(state.started[:, None], room, torch.ones_like(room))
        return JumpSupport(state.free, state.started, crowded, width.clamp(min=_TINY).log())

    def backward_support(self, state: JumpState, context: Context) -> JumpSupport:
        room = state.position - self.minimum_increment
        forced = (state.free & (room <= 0.0)).any(dim=1) | state.stopped
        return JumpSupport(state.free, torch.ones_like(state.started), forced, room.clamp(min=_TINY).log())

    def step(self, state: JumpState, action: Jump, context: Context) -> JumpState:
        room = torch.where(state.started[:, None], 1.0 - state.position - self.minimum_increment, 1.0)
        start = torch.where(state.started[:, None], state.position + self.minimum_increment, 0.0)
        moved = torch.where(state.free, start + torch.sigmoid(action.log_odds) * room, state.position)
        position = torch.where(action.flag[:, None], state.position, moved)
        return JumpState(position, state.started | ~action.flag, state.stopped | action.flag, state.free)

    def step_back(self, state: JumpState, action: Jump, context: Context) -> JumpState:
        reopened = state.stopped
        to_source = action.flag & ~reopened
        moved = torch.sigmoid(action.log_odds) * (state.position - self.minimum_increment)
        position = torch.where((action.flag[:, None]) | ~state.free, state.position, moved)
        position = position.masked_fill(to_source[:, None], 0.0)
        return JumpState(position, state.started & ~to_source, torch.zeros_like(state.stopped), state.free)

    def forward_action(self, parent: JumpState, child: JumpState, context: Context) -> Jump:
        start = torch.where(parent.started[:, None], parent.position + self.minimum_increment, 0.0)
        return Jump(child.stopped, _log_odds(child.position - start, 1.0 - child.position))

    def backward_action(self, parent: JumpState, child: JumpState, context: Context) -> Jump:
        rest = child.position - self.minimum_increment - parent.position
        return Jump(child.stopped | ~parent.started, _log_odds(parent.position, rest))

    def undoing(self, action: Jump, parent: JumpState, child: JumpState, context: Context) -> Jump:
        """As :meth:`backward_action`, from the fraction jumped: the difference of positions may round to zero."""
        room = 1.0 - parent.position - self.minimum_increment
        log_jumped = logsigmoid(action.log_odds) + room.clamp(min=_TINY).log()
        undone = self.backward_action(parent, child, context)
        return Jump(undone.flag, parent.position.clamp(min=_TINY).log() - log_jumped)

    def redoing(self, action: Jump, parent: JumpState, child: JumpState, context: Context) -> Jump:
        """As :meth:`forward_action`, from the fraction kept by the backward jump."""
        redone = self.forward_action(parent, child, context)
        room = child.position - self.minimum_increment
        log_jumped = logsigmoid(-action.log_odds) + room.clamp(min=_TINY).log()
        log_odds = log_jumped - (1.0 - child.position).clamp(min=_RESOLUTION).log()
        return Jump(redone.flag, torch.where(parent.started[:, None], log_odds, redone.log_odds))

    def features(self, state: JumpState) -> Tensor:
        return torch.cat([state.position, state.free, state.started[:, None]], dim=1).float()

    def summary(self, state: JumpState) -> Tensor:
        return torch.cat([state.position, state.free], dim=1).float()


def _log_odds(part: Tensor, rest: Tensor) -> Tensor:
    # near 1 a position is known to 1e-16 only: a rest of zero is one that was rounded away
    return part.clamp(min=_TINY).log() - rest.clamp(min=_RESOLUTION).log()
