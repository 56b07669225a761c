"""Random trajectories through one stage, without a policy, for checks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Action, Context, Jump, JumpSupport, Stage, State, Support
from gflownet_crystal.testing.report import Faults, differing_rows

_FRACTION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Walk:
    """t transitions of a stage.

    Attributes:
        context: context of each transition, t rows.
        parent: states before.
        child: states after.
        action: taken; from parent to child in a forward walk, from child to parent in a backward one.
        support: support of the state in which the action was taken.
    """

    context: Context
    parent: State
    child: State
    action: Action
    support: Support


def walk_forward(
    stage: Stage, plain: Stage, context: Context, generator: torch.Generator, where: str, faults: Faults
) -> tuple[Walk, State]:
    """Take each row of a context from the source to a final state by random allowed actions.

    Args:
        stage: the stage to check, whose calls may be recorded.
        plain: the same stage, which draws actions.
        context: n rows.
        generator: random generator of the actions.
        where: beginning of the message of a fault, before the name of a method.
        faults: list that collects the rows that do not end.

    Returns:
        All transitions, and the n finished states.

    Raises:
        RuntimeError: rows do not end within ``max_transitions``, so there are no finished states.
    """
    state = terminal = stage.source(context)
    row, steps = torch.arange(context.n, device=context.device), []
    for _ in range(stage.max_transitions):
        here = context[row]
        support = stage.forward_support(state, here)
        _refuse_dead_ends(support, f"{where}forward_support allows nothing in an unfinished state", faults)
        action = plain.random_action(support, generator)
        child = stage.step(state, action, here)
        steps.append((row, state, child, action, support))
        done = stage.finished(child)
        terminal = terminal.put(row[done], child[done])
        row, state = row[~done], child[~done]
        if not len(row):
            return _joined(context, steps), terminal
    raise RuntimeError(
        f"{len(row)} of {context.n} rows are not finished after max_transitions of {plain.name}"
    )


def walk_backward(
    stage: Stage,
    plain: Stage,
    terminal: State,
    context: Context,
    generator: torch.Generator,
    where: str,
    faults: Faults,
) -> Walk:
    """Walk each finished state back to the source by random allowed backward actions.

    Arguments and errors as in :func:`walk_forward`.
    """
    source, state = stage.source(context), terminal
    row, steps = torch.arange(context.n, device=context.device), []
    for _ in range(stage.max_transitions):
        here = context[row]
        support = stage.backward_support(state, here)
        _refuse_dead_ends(
            support, f"{where}backward_support allows nothing in a state that is not the source", faults
        )
        action = plain.random_action(support, generator)
        parent = stage.step_back(state, action, here)
        steps.append((row, parent, state, action, support))
        home = stage.at_source(parent)
        strange = differing_rows(parent[home], source[row[home]])
        faults.add_rows(f"{where}step_back ends in a state that at_source takes for the source", strange)
        row, state = row[~home], parent[~home]
        if not len(row):
            return _joined(context, steps)
    raise RuntimeError(f"{len(row)} of {context.n} rows are not undone after max_transitions of {plain.name}")


def _refuse_dead_ends(support: Support, fault: str, faults: Faults) -> None:
    if isinstance(support, Tensor):
        faults.add_rows(fault, ~support.any(dim=1))


def _joined(context: Context, steps: list[tuple[Tensor, State, State, Action, Support]]) -> Walk:
    rows, parents, children, actions, supports = zip(*steps, strict=True)
    return Walk(
        context[torch.cat(rows)],
        type(parents[0]).cat(parents),
        type(children[0]).cat(children),
        torch.cat(actions) if isinstance(actions[0], Tensor) else Jump.cat(actions),
        torch.cat(supports) if isinstance(supports[0], Tensor) else JumpSupport.cat(supports),
    )


def allowed(action: Action, support: Support) -> Tensor:
    """(n,) bool: the support allows the action."""
    if isinstance(action, Jump) and isinstance(support, JumpSupport):
        flag = support.flag_allowed | support.flag_forced
        reachable = torch.isfinite(action.log_odds) | ~support.free
        return torch.where(action.flag, flag, ~support.flag_forced & reachable.all(dim=1))
    if isinstance(action, Tensor) and isinstance(support, Tensor):
        known = (action >= 0) & (action < support.shape[1])
        return support.gather(1, action.clamp(0, support.shape[1] - 1)[:, None]).squeeze(1) & known
    return torch.zeros(len(action), dtype=torch.bool)


def same_actions(left: Action, right: Action, support: Support) -> Tensor:
    """(n,) bool: the actions are the same; jumps by the fraction they make in each free dimension."""
    if isinstance(left, Jump) and isinstance(right, Jump) and isinstance(support, JumpSupport):
        distance = (torch.sigmoid(left.log_odds) - torch.sigmoid(right.log_odds)).abs()
        near = (distance <= _FRACTION_TOLERANCE) | ~support.free | left.flag[:, None]
        return (left.flag == right.flag) & near.all(dim=1)
    return ~differing_rows(left, right)
