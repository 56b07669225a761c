"""Choices of the stages before the current one, and the conditions that objects are sampled for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import TypeVar

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import ActionError

State = TensorBatch

StateT = TypeVar("StateT", bound=State, default=Any)


@dataclass(frozen=True)
class Context:
    """Choices of the stages before the current one, row by row.

    Attributes:
        n: number of rows.
        device: device of the tensors.
        states: finished states of the earlier stages, in order.
        condition: (n, c) float64 from 0 to 1, the conditions that each row is sampled for, see
            :class:`gflownet_crystal.gflownet.conditions.Conditions`; None without any.
    """

    n: int
    device: torch.device
    states: tuple[State, ...] = ()
    condition: Tensor | None = None

    def __getitem__(self, rows: Tensor) -> Context:
        """The context of some rows, given by an index tensor or a boolean mask."""
        n = int(rows.sum()) if rows.dtype == torch.bool else len(rows)
        condition = None if self.condition is None else self.condition[rows]
        return Context(n, self.device, tuple(state[rows] for state in self.states), condition)

    def of(self, kind: type[StateT]) -> StateT:
        """The finished state of a kind.

        Raises:
            ActionError: no earlier stage has one.
        """
        for state in self.states:
            if isinstance(state, kind):
                return state
        raise ActionError(
            f"no {kind.__name__} among the {len(self.states)} finished states: its stage has to come earlier"
        )

    def extended(self, state: State) -> Context:
        """The context of the next stage, after this one finished in ``state``."""
        return replace(self, states=(*self.states, state))

    def before(self, index: int) -> Context:
        """The context of stage ``index``, of finished states of that many stages or more."""
        return replace(self, states=self.states[:index])
