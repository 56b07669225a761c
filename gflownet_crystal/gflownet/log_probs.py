"""Log-probabilities of trajectories under both policies, with gradients, in one batched call a stage and direction.

They are the policies' own, however the actions were drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.choices import choices, head_of, log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import StageTransitions, Trajectories


def evaluate(
    model: GFlowNet,
    trajectories: Trajectories,
    forward: tuple[Tensor, ...] | None = None,
    backward: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of trajectories under the policies, with gradients.

    Args:
        model: environment and policies.
        trajectories: n of them, drawn in any way.
        forward: ``log P_F`` of the transitions of each stage under this model where it is known, as from
            :func:`draw_forward`.
        backward: ``log P_B``, likewise, as from :func:`draw_backward`.

    Returns:
        ``log_pf`` and ``log_pb``, (n,) float64: sums over the transitions of ``log P_F(child | parent)`` and
        ``log P_B(parent | child)``.
    """
    found = evaluate_transitions(model, trajectories, forward, backward)
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


def evaluate_transitions(
    model: GFlowNet,
    trajectories: Trajectories,
    forward: tuple[Tensor, ...] | None = None,
    backward: tuple[Tensor, ...] | None = None,
) -> TransitionLogProbs:
    """The terms that :func:`evaluate` sums, of the same arguments."""

    def directed(backward: bool) -> tuple[Tensor, ...]:
        terminal = trajectories.terminal
        return tuple(
            _log_prob(model, index, part, terminal.before(index), backward)
            for index, part in enumerate(trajectories.stages)
        )

    return TransitionLogProbs(
        directed(backward=False) if forward is None else forward,
        directed(backward=True) if backward is None else backward,
    )


def cat_log_probs(parts: Sequence[TransitionLogProbs]) -> TransitionLogProbs:
    """Log-probabilities of the trajectories of ``parts``, one after the other."""
    forward = zip(*(part.forward for part in parts), strict=True)
    backward = zip(*(part.backward for part in parts), strict=True)
    return TransitionLogProbs(tuple(map(torch.cat, forward)), tuple(map(torch.cat, backward)))


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
    model: GFlowNet, terminal: Context, index: int, part: StageTransitions, backward: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The part of :func:`evaluate` in stage ``index``: (n,) ``log_pf`` and ``log_pb`` of its transitions."""
    zeros = torch.zeros(terminal.n, dtype=torch.float64, device=terminal.device)
    context = terminal.before(index)
    log_pf = _log_prob(model, index, part, context, backward=False)
    log_pb = _log_prob(model, index, part, context, backward=True) if backward is None else backward
    return zeros.index_add(0, part.row, log_pf), zeros.index_add(0, part.row, log_pb)


def _log_prob(
    model: GFlowNet, index: int, part: StageTransitions, context: Context, backward: bool
) -> Tensor:
    """(t,) log-probabilities of one stage in one direction."""
    state, support = (part.child, part.backward_support) if backward else (part.parent, part.forward_support)
    found = choices(model, index, state, context[part.row], support, backward)
    action = part.backward if backward else part.forward
    return log_prob(head_of(model, index, backward), found, support, action)
