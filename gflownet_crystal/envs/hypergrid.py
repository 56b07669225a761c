"""A hypergrid: a small discrete space whose distribution is known by enumeration (Bengio et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, DiscreteActions, Env, Stage, State


@dataclass(frozen=True)
class GridState(TensorBatch):
    """Cell of the grid, and whether the walk stopped there.

    Attributes:
        position: (n, d) int64.
        stopped: (n,) bool.
    """

    position: Tensor
    stopped: Tensor


class GridStage(Stage[GridState, Tensor, Tensor]):
    """Walks from the origin: one step up in one dimension at a time, or stop.

    Args:
        n_dimensions: d.
        length: cells in each dimension.
    """

    def __init__(self, n_dimensions: int, length: int) -> None:
        self.name = "grid"
        self.n_dimensions, self.length = n_dimensions, length
        self.forward_actions = DiscreteActions(n_dimensions + 1)
        self.backward_actions = DiscreteActions(n_dimensions + 1)
        self.max_transitions = n_dimensions * (length - 1) + 1
        self.n_features = self.n_summary = n_dimensions * length

    def source(self, context: Context) -> GridState:
        position = torch.zeros(context.n, self.n_dimensions, dtype=torch.int64, device=context.device)
        return GridState(position, torch.zeros(context.n, dtype=torch.bool, device=context.device))

    def finished(self, state: GridState) -> Tensor:
        return state.stopped

    def at_source(self, state: GridState) -> Tensor:
        return (state.position == 0).all(dim=1) & ~state.stopped

    def forward_support(self, state: GridState, context: Context) -> Tensor:
        return torch.cat([state.position < self.length - 1, ~state.stopped[:, None]], dim=1)

    def backward_support(self, state: GridState, context: Context) -> Tensor:
        return torch.cat([(state.position > 0) & ~state.stopped[:, None], state.stopped[:, None]], dim=1)

    def step(self, state: GridState, action: Tensor, context: Context) -> GridState:
        return GridState(state.position + self._unit(action), action == self.n_dimensions)

    def step_back(self, state: GridState, action: Tensor, context: Context) -> GridState:
        return GridState(state.position - self._unit(action), torch.zeros_like(state.stopped))

    def _unit(self, action: Tensor) -> Tensor:
        return functional.one_hot(action, self.n_dimensions + 1)[:, :-1]

    def backward_action(self, parent: GridState, child: GridState, context: Context) -> Tensor:
        return self._difference(parent, child)

    def forward_action(self, parent: GridState, child: GridState, context: Context) -> Tensor:
        return self._difference(parent, child)

    def _difference(self, parent: GridState, child: GridState) -> Tensor:
        dimension = (child.position - parent.position).argmax(dim=1)
        return torch.where(child.stopped, self.n_dimensions, dimension)

    def features(self, state: GridState) -> Tensor:
        return functional.one_hot(state.position, self.length).flatten(1).float()

    def summary(self, state: GridState) -> Tensor:
        return self.features(state)


class Hypergrid(Env[Tensor]):
    """A grid of ``length ** n_dimensions`` cells; objects are the (n, d) int64 cells.

    Args:
        n_dimensions: d, at least 1.
        length: cells in each dimension, at least 2.

    Raises:
        ConfigError: sizes out of range.
    """

    produces = "grid"

    def __init__(self, n_dimensions: int = 2, length: int = 8) -> None:
        if n_dimensions < 1 or length < 2:
            raise ConfigError(
                f"a hypergrid needs n_dimensions >= 1 and length >= 2, not {n_dimensions}, {length}"
            )
        self.grid = GridStage(n_dimensions, length)
        self.stages = (self.grid,)

    def objects(self, terminal: Context) -> Tensor:
        return terminal.of(GridState).position

    def unfinished_objects(self, index: int, state: State, context: Context) -> Tensor:
        # the stage has one kind of state
        return cast(GridState, state).position

    def encode(self, objects: Tensor) -> tuple[Context, Tensor]:
        inside = ((objects >= 0) & (objects < self.grid.length)).all(dim=1)
        position = objects[inside].long()
        stopped = torch.ones(len(position), dtype=torch.bool, device=position.device)
        return Context(len(position), position.device, (GridState(position, stopped),)), inside

    def cells(self) -> Tensor:
        """(length ** d, d) int64: every object of the space."""
        axis = torch.arange(self.grid.length)
        return torch.cartesian_prod(*[axis] * self.grid.n_dimensions).reshape(-1, self.grid.n_dimensions)
