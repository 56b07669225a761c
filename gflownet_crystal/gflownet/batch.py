"""Training batches: trajectories of the policy, of the replay buffer and of a dataset, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.log_probs import TransitionLogProbs, cat_log_probs, evaluate_transitions
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import StageTransitions, Trajectories, draw_backward, draw_forward
from gflownet_crystal.policies.distributions import Behaviour
from gflownet_crystal.proxies.reward import Reward, Scored


class Source(Protocol):
    """Gives objects with known log-rewards; trajectories to them are sampled backward."""

    def draw(self, n: int, generator: torch.Generator) -> tuple[Context, Tensor]:
        """``n`` terminal states and their (n,) float64 log-rewards."""
        ...


@dataclass(frozen=True)
class Batch:
    """Trajectories to learn from.

    Attributes:
        trajectories: n of them, those of the policy first.
        log_probs: log-probabilities of their transitions, with gradients.
        log_reward: (n,) float64 of their objects.
        new: terminal states that the policy sampled.
        scored: their predictions and log-rewards.
        n_data: trajectories to objects of a data set: the last ones.
    """

    trajectories: Trajectories
    log_probs: TransitionLogProbs
    log_reward: Tensor
    new: Context
    scored: Scored
    n_data: int = 0


def draw_batch(
    model: GFlowNet,
    reward: Reward,
    n: int,
    sources: Sequence[tuple[Source, int]],
    behaviour: Behaviour,
    generator: torch.Generator,
) -> Batch:
    """``n`` trajectories of the policy, scored, and some from each source, all evaluated.

    The direction in which a trajectory was drawn is evaluated in the same pass of the network.

    Args:
        model: environment and policies.
        reward: scores the policy's objects; those of sources bring their log-reward.
        n: trajectories of the policy.
        sources: sources with the number of objects to draw from each.
        behaviour: distribution that the policy's actions are drawn from; trajectories of sources follow the backward
            policy as it is.
        generator: source of randomness, on the model's device.
    """
    sampled, log_pf = draw_forward(model, n, generator, behaviour)
    scored = scored_in_training(model, reward, sampled.terminal)
    parts, log_rewards = [sampled], [scored.log_reward]
    log_probs = [evaluate_transitions(model, sampled, forward=log_pf)]
    for source, count in sources:
        terminal, log_reward = source.draw(count, generator)
        drawn, log_pb = draw_backward(model, terminal, generator)
        parts.append(drawn)
        log_probs.append(evaluate_transitions(model, drawn, backward=log_pb))
        log_rewards.append(log_reward)
    trajectories = cat_trajectories(parts)
    return Batch(trajectories, cat_log_probs(log_probs), torch.cat(log_rewards), sampled.terminal, scored)


def reward_of(model: GFlowNet, reward: Reward, terminal: Context) -> Reward:
    """The reward of n objects, under the conditions of each where the model has some."""
    if model.conditions is None or terminal.condition is None:
        return reward
    return reward.at(model.conditions.values(terminal.condition))


def scored_in_training(model: GFlowNet, reward: Reward, terminal: Context) -> Scored:
    """Predictions and log-rewards of n objects as a training sees them, under the conditions of each."""
    return reward_of(model, reward, terminal).in_training(model.env.objects(terminal))


def cat_trajectories(parts: Sequence[Trajectories]) -> Trajectories:
    """The trajectories of ``parts``, one after the other."""
    if len(parts) == 1:
        return parts[0]
    starts, n = [], 0
    for part in parts:
        starts.append(n)
        n += part.n
    stages = zip(*(part.stages for part in parts), strict=True)
    records = tuple(_cat_transitions(stage, starts) for stage in stages)
    return Trajectories(cat_contexts([part.terminal for part in parts]), records)


def cat_contexts(parts: Sequence[Context]) -> Context:
    """The rows of ``parts``, one after the other."""
    columns = zip(*(part.states for part in parts), strict=True)
    states = tuple(type(column[0]).cat(column) for column in columns)
    rows = [part.condition for part in parts if part.condition is not None]
    condition = torch.cat(rows) if rows else None
    return Context(sum(part.n for part in parts), parts[0].device, states, condition)


def _cat_transitions(records: Sequence[StageTransitions], starts: Sequence[int]) -> StageTransitions:
    row = torch.cat([record.row + start for record, start in zip(records, starts, strict=True)])
    columns = {
        field.name: _cat([getattr(record, field.name) for record in records])
        for field in fields(StageTransitions)
        if field.name != "row"
    }
    return StageTransitions(row=row, **columns)


def _cat(parts: list[Any]) -> Any:
    """Concatenate tensors, or batches of tensors of one type."""
    return type(parts[0]).cat(parts) if isinstance(parts[0], TensorBatch) else torch.cat(parts)
