"""Actions of the stages of an environment, and those allowed.

Two kinds of action exist:

* discrete: an ``int64`` index into the stage's actions; its support is a boolean mask ``(n, n_actions)``;
* jumps in the unit box: a :class:`Jump`; its support is a :class:`JumpSupport`.

Forward and backward directions of a stage have their own action space of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch


@dataclass(frozen=True)
class DiscreteActions:
    """An action space of ``n`` numbered actions."""

    n: int


@dataclass(frozen=True)
class JumpActions:
    """An action space of jumps in a unit box of so many dimensions, with one flag beside them."""

    dimensions: int


@dataclass(frozen=True)
class Jump(TensorBatch):
    """A move in the unit box, or the flag that stands for *stop* (forward) or *back to source* (backward).

    Attributes:
        flag: (n,) bool; where True the coordinates are ignored.
        log_odds: (n, d) float64; ``log(r / (1 - r))`` of the fraction ``r`` in (0, 1) of the open interval that is
            jumped. Log-odds keep draws apart that float64 would round to exactly 0 or 1.
    """

    flag: Tensor
    log_odds: Tensor


@dataclass(frozen=True)
class JumpSupport(TensorBatch):
    """Support of a :class:`Jump` in a state.

    Attributes:
        free: (n, d) bool; dimensions that move.
        flag_allowed: (n,) bool.
        flag_forced: (n,) bool; the flag is the only action.
        log_width: (n, d) float64; log of the length of the open interval that ``r`` spans, the Jacobian of
            the move. Its entries mean nothing where a dimension is not free or the flag is forced.
    """

    free: Tensor
    flag_allowed: Tensor
    flag_forced: Tensor
    log_width: Tensor


Actions = DiscreteActions | JumpActions
Action = Tensor | Jump
Support = Tensor | JumpSupport
