"""Local search: objects near good ones, whose last transitions are taken back and made again.

Kim et al., "Local search GFlowNets", ICLR 2024. The policies propose: the backward policy takes transitions back,
across stages where it has to, and the forward policy completes the object. As in all off-policy learning the optimum
stays the same; the search only says which objects are trained on.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.batch import Source, cat_contexts, scored_in_training
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import Trajectories, complete_stage, sample_backward
from gflownet_crystal.proxies.reward import Reward

Acceptance = Literal["better", "always"]


class LocalSearch:
    """Objects near those of another source, scored again, as a source of training.

    Args:
        source: gives the objects to begin with, such as a replay buffer.
        model: environment and policies.
        reward: scores the new objects.
        back: most transitions that are taken back; their number is uniform from 1 on.
        rounds: number of times that all objects are changed.
        accept: which changed objects replace those before: the ``better`` ones by log-reward, or all (``always``).

    Attributes:
        found: all objects scored at the last draw and their log-rewards; None before it.
    """

    def __init__(
        self,
        source: Source,
        model: GFlowNet,
        reward: Reward,
        back: int = 8,
        rounds: int = 1,
        accept: Acceptance = "better",
    ) -> None:
        self.source, self.model, self.reward = source, model, reward
        self.back, self.rounds, self.accept = back, rounds, accept
        self.found: tuple[Context, Tensor] | None = None

    def draw(self, n: int, generator: torch.Generator) -> tuple[Context, Tensor]:
        """``n`` terminal states and their (n,) float64 log-rewards."""
        terminal, log_reward = self.source.draw(n, generator)
        scored: list[tuple[Context, Tensor]] = []
        for _ in range(self.rounds):
            changed = self._changed(terminal, generator)
            value = scored_in_training(self.model, self.reward, changed).log_reward
            scored.append((changed, value))
            taken = (
                torch.ones_like(value, dtype=torch.bool) if self.accept == "always" else value > log_reward
            )
            rows = taken.nonzero().squeeze(1)
            states = [
                old.put(rows, new[rows]) for old, new in zip(terminal.states, changed.states, strict=True)
            ]
            terminal = Context(n, terminal.device, tuple(states), terminal.condition)
            log_reward = torch.where(taken, value, log_reward)
        contexts, values = zip(*scored, strict=True)
        self.found = cat_contexts(contexts), torch.cat(values)
        return terminal, log_reward

    def _changed(self, terminal: Context, generator: torch.Generator) -> Context:
        trajectories = sample_backward(self.model, terminal, generator)
        n_back = torch.randint(1, self.back + 1, (terminal.n,), generator=generator, device=terminal.device)
        return redrawn(self.model, trajectories, n_back, generator)


@torch.no_grad()
def redrawn(
    model: GFlowNet, trajectories: Trajectories, n_back: Tensor, generator: torch.Generator
) -> Context:
    """Objects whose last transitions are taken back along given trajectories and made again by the forward policy.

    Args:
        model: environment and policies.
        trajectories: n complete trajectories, sampled backward.
        n_back: (n,) int64 numbers of transitions to take back, at least 1; all where a trajectory has fewer.
        generator: source of randomness, on the model's device.

    Returns:
        Finished states of all stages.
    """
    terminal, lengths = trajectories.terminal, _lengths(trajectories)
    # transitions to take back in a stage, above its length where earlier stages change too
    later = lengths.flip(0).cumsum(0).flip(0) - lengths
    in_stage = n_back - later
    context = terminal.before(0)
    for index, (stage, record) in enumerate(zip(model.env.stages, trajectories.stages, strict=True)):
        start = stage.source(context)
        # backward records count their steps from the end: -1 is the last transition
        last_kept = (record.step == -in_stage[index][record.row]).nonzero().squeeze(1)
        start = start.put(record.row[last_kept], record.parent[last_kept])
        rows = (in_stage[index] > 0).nonzero().squeeze(1)
        state = terminal.states[index]
        if len(rows):
            made = complete_stage(model, context[rows], start[rows], generator)
            state = state.put(rows, made)
        context = context.extended(state)
    return context


def _lengths(trajectories: Trajectories) -> Tensor:
    """(stages, n) numbers of transitions."""
    return torch.stack([record.row.bincount(minlength=trajectories.n) for record in trajectories.stages])
