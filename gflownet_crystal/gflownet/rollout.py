"""Trajectories, sampled forward from the source or backward from objects.

A rollout is stage-synchronous: all rows pass stage after stage, and within a stage only rows that are not finished are
computed. The recorded quantities do not depend on how actions were drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ActionError
from gflownet_crystal.envs.base import Action, Context, Jump, JumpSupport, State, Support
from gflownet_crystal.gflownet.choices import Choices, cat_choices, choices, head_of, log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.distributions import ON_POLICY, Behaviour, check_usable


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
    with torch.no_grad():
        return draw_forward(model, n, generator, behaviour)[0]


def draw_forward(
    model: GFlowNet, n: int, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> tuple[Trajectories, tuple[Tensor, ...]]:
    """Trajectories of :func:`sample_forward`, and ``log P_F`` of their transitions from the same pass of the network.

    Returns:
        The trajectories, and (t,) float64 log-probabilities of each stage under the policy itself, with gradients.
    """
    context = model.start(n, generator)
    records, log_probs = [], []
    for index, stage in enumerate(model.env.stages):
        steps, terminal = _walk(
            model, index, context, stage.source(context), generator, behaviour, forward=True
        )
        record, log_pf = _joined(model, index, context, steps, backward=False)
        records.append(record)
        log_probs.append(log_pf)
        context = context.extended(terminal)
    return Trajectories(context, tuple(records)), tuple(log_probs)


@torch.no_grad()
def sample_terminal(
    model: GFlowNet, n: int, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> Context:
    """Finished states of ``n`` trajectories, the same as :func:`sample_forward` gives, without its records."""
    context = model.start(n, generator)
    for _ in model.env.stages:
        context = context.extended(sample_stage(model, context, generator, behaviour))
    return context


@torch.no_grad()
def sample_stage(
    model: GFlowNet, context: Context, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> State:
    """Finished states of the stage that follows those of ``context``, by the forward policy."""
    source = model.env.stages[len(context.states)].source(context)
    return complete_stage(model, context, source, generator, behaviour)


@torch.no_grad()
def complete_stage(
    model: GFlowNet,
    context: Context,
    state: State,
    generator: torch.Generator,
    behaviour: Behaviour = ON_POLICY,
) -> State:
    """Finished states of the stage that follows those of ``context``, from unfinished ones, by the forward policy."""
    return _walk(model, len(context.states), context, state, generator, behaviour, forward=True)[1]


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
    with torch.no_grad():
        return draw_backward(model, terminal, generator, behaviour)[0]


def draw_backward(
    model: GFlowNet, terminal: Context, generator: torch.Generator, behaviour: Behaviour = ON_POLICY
) -> tuple[Trajectories, tuple[Tensor, ...]]:
    """Trajectories of :func:`sample_backward`, and ``log P_B`` of their transitions from the same pass of the network.

    Returns:
        The trajectories, and (t,) float64 log-probabilities of each stage under the policy itself, with gradients.
    """
    stages = range(len(model.env.stages))
    parts = [draw_stage_backward(model, terminal, index, generator, behaviour) for index in stages]
    return Trajectories(terminal, tuple(part[0] for part in parts)), tuple(part[1] for part in parts)


def draw_stage_backward(
    model: GFlowNet,
    terminal: Context,
    index: int,
    generator: torch.Generator,
    behaviour: Behaviour = ON_POLICY,
) -> tuple[StageTransitions, Tensor]:
    """The part of :func:`draw_backward` in stage ``index`` alone."""
    context, state = terminal.before(index), terminal.states[index]
    steps, _ = _walk(model, index, context, state, generator, behaviour, forward=False)
    return _joined(model, index, context, steps, backward=True)


def _walk(
    model: GFlowNet,
    index: int,
    context: Context,
    start: State,
    generator: torch.Generator,
    behaviour: Behaviour,
    forward: bool,
) -> tuple[list[_Step], State]:
    """Transitions of stage ``index`` from n states to finished ones, or back to the source, and the finished states."""
    stage, head = model.env.stages[index], head_of(model, index, backward=not forward)
    if forward:
        support_of, move, ended = stage.forward_support, stage.step, stage.finished
    else:
        support_of, move, ended = stage.backward_support, stage.step_back, stage.at_source
    row, here = torch.arange(context.n, device=context.device), context
    state = reached = start
    steps: list[_Step] = []
    usable = torch.ones((), dtype=torch.bool, device=context.device)
    for _ in range(stage.max_transitions):
        support = support_of(state, here)
        found = choices(model, index, state, here, support, backward=not forward)
        usable = usable & head.usable(found.parameters, behaviour)
        action = head.sample(found.in_all_rows(), support, generator, behaviour)
        moved = move(state, action, here)
        parent, child = (state, moved) if forward else (moved, state)
        steps.append(_Step(row, parent, child, action, support, found))
        # going back, all end at the source
        if forward:
            reached = reached.put(row, moved)
        # the only wait for a GPU in a step
        going = (~ended(moved)).nonzero().squeeze(1)
        if not len(going):
            check_usable(usable)
            return steps, reached
        row, state, here = row[going], moved[going], here[going]
    words = "did not finish" if forward else "was not undone"
    raise ActionError(f"stage {stage.name} {words} in {stage.max_transitions} steps; its bound is wrong")


@dataclass(frozen=True)
class _Step:
    row: Tensor
    parent: State
    child: State
    action: Action
    support: Support
    choices: Choices


def _joined(
    model: GFlowNet, index: int, context: Context, steps: list[_Step], backward: bool
) -> tuple[StageTransitions, Tensor]:
    """The steps of a stage as one record, with the actions and supports of the other direction.

    Returns:
        The record, and (t,) float64 log-probabilities of its actions in the direction in which they were drawn.
    """
    stage, found = model.env.stages[index], cat_choices([step.choices for step in steps])
    row = torch.cat([step.row for step in steps])
    place = torch.cat([torch.full_like(step.row, number) for number, step in enumerate(steps)])
    parent = type(steps[0].parent).cat([step.parent for step in steps])
    child = type(steps[0].child).cat([step.child for step in steps])
    action, support = _cat_actions([s.action for s in steps]), _cat_supports([s.support for s in steps])
    log_p = log_prob(head_of(model, index, backward), found, support, action)
    here = context[row]
    if backward:
        forward, forward_support = (
            stage.redoing(action, parent, child, here),
            stage.forward_support(parent, here),
        )
        record = StageTransitions(row, -1 - place, parent, child, forward, action, forward_support, support)
        return record, log_p
    undone, backward_support = stage.undoing(action, parent, child, here), stage.backward_support(child, here)
    return StageTransitions(row, place, parent, child, action, undone, support, backward_support), log_p


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
