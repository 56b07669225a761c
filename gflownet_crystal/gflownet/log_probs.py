"""Log-probabilities of trajectories under both policies, with gradients, in one batched call a stage and direction.

They are the policies' own, however the actions were drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import StageTransitions, Trajectories


def evaluate(model: GFlowNet, trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """Log-probabilities of trajectories under the policies, with gradients.

    Returns:
        ``log_pf`` and ``log_pb``, (n,) float64: sums over the transitions of ``log P_F(child | parent)`` and
        ``log P_B(parent | child)``.
    """
    found = evaluate_transitions(model, trajectories)
    return sum_by_row(trajectories, found.forward), sum_by_row(trajectories, found.backward)


@dataclass(frozen=True)
class TransitionLogProbs:
    """Log-probabilities of all transitions under the policies, with gradients.

    Attributes:
        forward: ``log P_F(child | parent)``, (t,) float64 for each stage.
        backward: ``log P_B(parent | child)``, likewise.
    """

    forward: tuple[Tensor, ...]
    backward: tuple[Tensor, ...]


def evaluate_transitions(model: GFlowNet, trajectories: Trajectories) -> TransitionLogProbs:
    """The terms that :func:`evaluate` sums."""
    stages = [
        _both(model, trajectories.terminal, index, part) for index, part in enumerate(trajectories.stages)
    ]
    return TransitionLogProbs(tuple(pair[0] for pair in stages), tuple(pair[1] for pair in stages))


def sum_by_row(trajectories: Trajectories, columns: Sequence[Tensor]) -> Tensor:
    """(n,) float64 sums over each trajectory of values of its transitions.

    Args:
        trajectories: n of them.
        columns: (t,) values for each stage.
    """
    zeros = torch.zeros(trajectories.n, dtype=torch.float64, device=trajectories.terminal.device)
    total = zeros
    for part, column in zip(trajectories.stages, columns, strict=True):
        total = total + zeros.index_add(0, part.row, column)
    return total


def evaluate_stage(
    model: GFlowNet, terminal: Context, index: int, part: StageTransitions
) -> tuple[Tensor, Tensor]:
    """The part of :func:`evaluate` in stage ``index``: (n,) ``log_pf`` and ``log_pb`` of its transitions."""
    zeros = torch.zeros(terminal.n, dtype=torch.float64, device=terminal.device)
    log_pf, log_pb = _both(model, terminal, index, part)
    return zeros.index_add(0, part.row, log_pf), zeros.index_add(0, part.row, log_pb)


def _both(model: GFlowNet, terminal: Context, index: int, part: StageTransitions) -> tuple[Tensor, Tensor]:
    context = terminal.before(index)
    return (
        _log_prob(model, index, part, context, backward=False),
        _log_prob(model, index, part, context, backward=True),
    )


def _log_prob(
    model: GFlowNet, index: int, part: StageTransitions, context: Context, backward: bool
) -> Tensor:
    """(t,) log-probabilities of one stage; forced actions have probability 1 and cost no network call."""
    head = (model.backward_heads if backward else model.forward_heads)[index]
    support = part.backward_support if backward else part.forward_support
    zeros = torch.zeros(len(part.row), dtype=torch.float64, device=part.row.device)
    chosen = (~head.forced(support)).nonzero().squeeze(1)
    if not len(chosen):
        # a policy need not know batches without rows
        return zeros
    row, state = part.row[chosen], (part.child if backward else part.parent)[chosen]
    parameters = (model.backward_parameters if backward else model.forward_parameters)(
        index, state, context[row]
    )
    action = (part.backward if backward else part.forward)[chosen]
    return zeros.index_copy(0, chosen, head.log_prob(parameters, support[chosen], action))
