"""Trajectories, sampled forward from the source or backward from objects.

A rollout is stage-synchronous: all rows pass stage after stage, and within a stage only rows that are not finished are
computed. The recorded quantities do not depend on how actions were drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ActionError
from gflownet_crystal.envs.base import Action, Context, Jump, JumpSupport, Stage, State, Support
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.distributions import ON_POLICY, Behaviour


@dataclass(frozen=True)
class StageTransitions:
    """All transitions of all rows in one stage, t of them.

    Attributes:
        row: (t,) int64; the trajectory a transition belongs to.
        step: (t,) int64; its place among those of its trajectory in this stage: from 0 on, or, as indices into a list
            do, from -1 back.
        parent: states before.
        child: states after.
        forward: actions from parent to child.
        backward: actions from child to parent.
        forward_support: support of the parents.
        backward_support: support of the children.
    """

    row: Tensor
    step: Tensor
    parent: State
    child: State
    forward: Action
    backward: Action
    forward_support: Support
    backward_support: Support


@dataclass(frozen=True)
class Trajectories:
    """n complete trajectories.

    Attributes:
        terminal: finished states of all stages.
        stages: transitions, a record for each stage.
    """

    terminal: Context
    stages: tuple[StageTransitions, ...]

    @property
    def n(self) -> int:
        """Number of trajectories."""
        return self.terminal.n

    @property
    def n_transitions(self) -> int:
        """Number of transitions of all trajectories together."""
        return sum(len(stage.row) for stage in self.stages)


@torch.no_grad()
def sample_forward(
    model: GFlowNet, n: int, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> Trajectories:
    """Sample ``n`` trajectories from the source with the forward policy.

    Args:
        model: environment and policies; conditions that are not given are drawn, for each trajectory.
        n: number of trajectories.
        generator: source of randomness, on the model's device.
        behaviour: distribution that actions are drawn from.
    """
    context = model.start(n, generator)
    records = []
    for index, stage in enumerate(model.env.stages):
        steps, terminal = _forward_stage(model, index, stage, context, generator, behaviour)
        records.append(_joined(stage, context, steps, backward=False))
        context = context.extended(terminal)
    return Trajectories(context, tuple(records))


@torch.no_grad()
def sample_terminal(
    model: GFlowNet, n: int, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> Context:
    """Finished states of ``n`` trajectories, the same as :func:`sample_forward` gives, without its records."""
    context = model.start(n, generator)
    for index, stage in enumerate(model.env.stages):
        context = context.extended(_forward_stage(model, index, stage, context, generator, behaviour)[1])
    return context


@torch.no_grad()
def sample_stage(
    model: GFlowNet, context: Context, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> State:
    """Finished states of the stage that follows those of ``context``, by the forward policy."""
    index = len(context.states)
    return _forward_stage(model, index, model.env.stages[index], context, generator, behaviour)[1]


@torch.no_grad()
def complete_stage(model: GFlowNet, context: Context, state: State, generator: torch.Generator) -> State:
    """Finished states of the stage that follows those of ``context``, from unfinished ones, by the forward policy."""
    index = len(context.states)
    stage = model.env.stages[index]
    return _forward_stage(model, index, stage, context, generator, ON_POLICY, state)[1]


def _forward_stage(
    model: GFlowNet,
    index: int,
    stage: Stage,
    context: Context,
    generator: torch.Generator,
    behaviour: Behaviour,
    start: State | None = None,
) -> tuple[list[_Step], State]:
    state = terminal = stage.source(context) if start is None else start
    row = torch.arange(context.n, device=context.device)
    here = context
    steps: list[_Step] = []
    for _ in range(stage.max_transitions):
        support = stage.forward_support(state, here)
        parameters = model.forward_parameters(index, state, here)
        action = model.forward_heads[index].sample(parameters, support, generator, behaviour)
        child = stage.step(state, action, here)
        steps.append(_Step(row, state, child, action, support))
        done = stage.finished(child)
        terminal = terminal.put(row[done], child[done])
        row, state, here = row[~done], child[~done], here[~done]
        if not len(row):
            return steps, terminal
    raise ActionError(
        f"stage {stage.name} did not finish in {stage.max_transitions} steps; its bound is wrong"
    )


@torch.no_grad()
def sample_backward(
    model: GFlowNet, terminal: Context, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> Trajectories:
    """Sample one trajectory to each given object, with the backward policy.

    Args:
        model: environment and policies.
        terminal: finished states of all stages, as :meth:`Env.encode` gives.
        generator: source of randomness, on the model's device.
        behaviour: distribution that actions are drawn from.
    """
    stages = range(len(model.env.stages))
    return Trajectories(
        terminal,
        tuple(sample_stage_backward(model, terminal, index, generator, behaviour) for index in stages),
    )


@torch.no_grad()
def sample_stage_backward(
    model: GFlowNet,
    terminal: Context,
    index: int,
    generator: torch.Generator,
    behaviour: Behaviour = ON_POLICY,
) -> StageTransitions:
    """The part of :func:`sample_backward` in stage ``index`` alone."""
    stage, state = model.env.stages[index], terminal.states[index]
    return _backward_stage(model, index, stage, terminal.before(index), state, generator, behaviour)


def _backward_stage(
    model: GFlowNet,
    index: int,
    stage: Stage,
    context: Context,
    state: State,
    generator: torch.Generator,
    behaviour: Behaviour,
) -> StageTransitions:
    row = torch.arange(context.n, device=context.device)
    here = context
    steps: list[_Step] = []
    for _ in range(stage.max_transitions):
        support = stage.backward_support(state, here)
        parameters = model.backward_parameters(index, state, here)
        action = model.backward_heads[index].sample(parameters, support, generator, behaviour)
        parent = stage.step_back(state, action, here)
        steps.append(_Step(row, parent, state, action, support))
        alive = ~stage.at_source(parent)
        row, state, here = row[alive], parent[alive], here[alive]
        if not len(row):
            return _joined(stage, context, steps, backward=True)
    raise ActionError(
        f"stage {stage.name} was not undone in {stage.max_transitions} steps; its bound is wrong"
    )


@dataclass(frozen=True)
class _Step:
    row: Tensor
    parent: State
    child: State
    action: Action
    support: Support


def _joined(stage: Stage, context: Context, steps: list[_Step], backward: bool) -> StageTransitions:
    """The steps of a stage as one record, with the actions and supports of the other direction."""
    row = torch.cat([step.row for step in steps])
    sizes = torch.tensor([len(step.row) for step in steps], device=row.device)
    place = torch.arange(len(steps), device=row.device).repeat_interleave(sizes, output_size=len(row))
    parent = type(steps[0].parent).cat([step.parent for step in steps])
    child = type(steps[0].child).cat([step.child for step in steps])
    action, support = _cat_actions([s.action for s in steps]), _cat_supports([s.support for s in steps])
    here = context[row]
    if backward:
        forward, forward_support = (
            stage.redoing(action, parent, child, here),
            stage.forward_support(parent, here),
        )
        return StageTransitions(row, -1 - place, parent, child, forward, action, forward_support, support)
    undone, backward_support = stage.undoing(action, parent, child, here), stage.backward_support(child, here)
    return StageTransitions(row, place, parent, child, action, undone, support, backward_support)


def _cat_actions(actions: list[Action]) -> Action:
    jumps = [action for action in actions if isinstance(action, Jump)]
    return (
        Jump.cat(jumps) if jumps else torch.cat([action for action in actions if isinstance(action, Tensor)])
    )


def _cat_supports(supports: list[Support]) -> Support:
    jumps = [support for support in supports if isinstance(support, JumpSupport)]
    return (
        JumpSupport.cat(jumps)
        if jumps
        else torch.cat([mask for mask in supports if isinstance(mask, Tensor)])
    )
