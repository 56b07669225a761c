"""Distributions over actions in the states that leave a choice; the only action of others needs no network call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.common.devices import runs_ahead
from gflownet_crystal.envs.base import Action, Context, State, Support
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.distributions import Head


class Choices(NamedTuple):
    """Distributions over the actions of n states of one stage, where there is more than one action.

    Attributes:
        n: number of states.
        rows: (c,) int64 states with a choice; on a GPU all states.
        parameters: (c, p) parameters of their distributions.
    """

    n: int
    rows: Tensor
    parameters: Tensor

    def in_all_rows(self) -> Tensor:
        """(n, p) parameters without gradients, zero in states with one action."""
        parameters = self.parameters.detach()
        if len(self.rows) == self.n:
            return parameters
        return parameters.new_zeros(self.n, parameters.shape[1]).index_copy(0, self.rows, parameters)


def choices(
    model: GFlowNet, index: int, state: State, context: Context, support: Support, backward: bool
) -> Choices:
    """Distributions over the forward or backward actions of n states.

    Args:
        model: environment and policies.
        index: number of the stage.
        state: n states of the stage.
        context: finished states of the stages before.
        support: allowed actions of the states.
        backward: direction of the actions.
    """
    head = head_of(model, index, backward)
    parameters_of = model.backward_parameters if backward else model.forward_parameters
    n = len(state)
    if runs_ahead(state.device):
        # the host would have to wait for the number of states with a choice
        rows = torch.arange(n, device=state.device)
    else:
        rows = (~head.forced(support)).nonzero().squeeze(1)
    if not len(rows):
        # a policy need not know batches without rows
        return Choices(n, rows, torch.zeros(0, head.n_parameters, device=rows.device))
    if len(rows) < n:
        state, context = state[rows], context[rows]
    return Choices(n, rows, parameters_of(index, state, context))


def head_of(model: GFlowNet, index: int, backward: bool) -> Head:
    """The head of one stage in one direction."""
    return (model.backward_heads if backward else model.forward_heads)[index]


def log_prob(head: Head, found: Choices, support: Support, action: Action) -> Tensor:
    """(n,) float64 log-probabilities of the actions of n states; 0 where there was no choice."""
    zeros = torch.zeros(found.n, dtype=torch.float64, device=found.rows.device)
    if not len(found.rows):
        return zeros
    if len(found.rows) == found.n:
        return head.log_prob(found.parameters, support, action)
    value = head.log_prob(found.parameters, support[found.rows], action[found.rows])
    return zeros.index_copy(0, found.rows, value)


def cat_choices(parts: Sequence[Choices]) -> Choices:
    """The states of ``parts``, one after the other."""
    rows, n = [], 0
    for part in parts:
        rows.append(part.rows + n)
        n += part.n
    return Choices(n, torch.cat(rows), torch.cat([part.parameters for part in parts]))
