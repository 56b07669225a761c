"""Checks of an environment against the contract of :mod:`gflownet_crystal.envs.base`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Action, Context, Env, JumpSupport, Stage, State, Support
from gflownet_crystal.testing.report import Faults, Watched, differing_rows, watching_global_randomness
from gflownet_crystal.testing.walks import Walk, allowed, same_actions, walk_backward, walk_forward

STATE_TOLERANCE = 1e-9
FEATURE_TOLERANCE = 1e-6
_MAX_NEIGHBOURS = 4096
_SINGLE_ROWS = 8


def check_env(
    env: Env, n: int = 64, seed: int = 0, device: torch.device | str = "cpu", raise_faults: bool = True
) -> list[str]:
    """Check an environment on random trajectories, forward from the source and backward from their ends.

    On every state met: supports are never empty, and walks end within ``max_transitions``; each direction's actions
    and masks answer the other's (for all allowed actions of discrete stages); ``step`` and ``step_back`` undo one
    another; features have their shape, are float32 and finite; a row alone gives the same as in a batch; no method
    changes its input or draws from the global random state; ``encode`` undoes ``objects``; ``log_reference`` is
    finite.

    Args:
        env: the environment.
        n: random trajectories.
        seed: random seed of their actions.
        device: device of the walks.
        raise_faults: raise on faults; else only return them.

    Returns:
        The faults, one text each; empty if there are none.

    Raises:
        ContractError: lists all faults found.
    """
    faults = Faults(f"environment {type(env).__name__}")
    generator = torch.Generator(device).manual_seed(seed)
    with (
        watching_global_randomness(faults, "the environment"),
        faults.stopping_at("a walk through the stages"),
        torch.no_grad(),
    ):
        context = env.empty_context(n, torch.device(device))
        for index in range(len(env.stages)):
            context = _check_stage(env, index, context, generator, faults)
        _check_objects(env, context, faults)
    return faults.finish(raise_faults)


def _check_stage(
    env: Env, index: int, context: Context, generator: torch.Generator, faults: Faults
) -> Context:
    """Check one stage; returns the context of the next."""
    plain, where = env.stages[index], f"{env.stages[index].name}."
    stage: Any = Watched(plain, faults, where)
    _check_source(stage, context, where, faults)
    forward, terminal = walk_forward(stage, plain, context, generator, where, faults)
    _check_forward(stage, forward, where, faults)
    backward = walk_backward(stage, plain, terminal, context, generator, where, faults)
    _check_backward(stage, backward, where, faults)
    for walk in (forward, backward):
        _check_neighbours(stage, walk, generator, where, faults)
    _check_features(env, index, forward, terminal, context, faults)
    _check_single_rows(stage, forward, where, faults)
    return context.extended(terminal)


def _check_source(stage: Stage, context: Context, where: str, faults: Faults) -> None:
    source = stage.source(context)
    faults.add_rows(f"{where}at_source does not know the source", ~stage.at_source(source))
    faults.add_rows(f"{where}finished holds at the source", stage.finished(source))


def _check_forward(stage: Stage, walk: Walk, where: str, faults: Faults) -> None:
    """Each step taken forward can be undone, and is recognised."""
    undone = stage.backward_action(walk.parent, walk.child, walk.context)
    support = stage.backward_support(walk.child, walk.context)
    faults.add_rows(f"{where}backward_support forbids the way back from a child", ~allowed(undone, support))
    back = stage.step_back(walk.child, undone, walk.context)
    faults.add_rows(
        f"{where}step_back does not lead back to the parent",
        differing_rows(back, walk.parent, STATE_TOLERANCE),
    )
    redone = stage.forward_action(walk.parent, walk.child, walk.context)
    faults.add_rows(
        f"{where}forward_action is not the action taken", ~same_actions(redone, walk.action, walk.support)
    )
    faults.add_rows(f"{where}at_source holds after a step", stage.at_source(walk.child))


def _check_backward(stage: Stage, walk: Walk, where: str, faults: Faults) -> None:
    """Each step taken backward can be taken forward, and is recognised."""
    redone = stage.forward_action(walk.parent, walk.child, walk.context)
    support = stage.forward_support(walk.parent, walk.context)
    faults.add_rows(f"{where}forward_support forbids the way from a parent", ~allowed(redone, support))
    child = stage.step(walk.parent, redone, walk.context)
    faults.add_rows(
        f"{where}step does not lead to the child again", differing_rows(child, walk.child, STATE_TOLERANCE)
    )
    undone = stage.backward_action(walk.parent, walk.child, walk.context)
    faults.add_rows(
        f"{where}backward_action is not the action taken", ~same_actions(undone, walk.action, walk.support)
    )
    faults.add_rows(f"{where}finished holds in a parent", stage.finished(walk.parent))


def _check_neighbours(
    stage: Stage, walk: Walk, generator: torch.Generator, where: str, faults: Faults
) -> None:
    """In discrete stages, the same for all allowed actions of the states met, in both directions."""
    for states, forward in ((walk.parent, True), (walk.child, False)):
        support = (stage.forward_support if forward else stage.backward_support)(states, walk.context)
        if not isinstance(support, Tensor):
            return
        row, action = _some(support.nonzero(), generator).unbind(1)
        here, states = walk.context[row], states[row]
        taken = (stage.step if forward else stage.step_back)(states, action, here)
        neighbour = Walk(
            context=here,
            parent=states if forward else taken,
            child=taken if forward else states,
            action=action,
            support=support[row],
        )
        (_check_forward if forward else _check_backward)(stage, neighbour, where, faults)


def _some(pairs: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(len(pairs), generator=generator, device=pairs.device)
    return pairs[order[:_MAX_NEIGHBOURS]]


def _check_features(
    env: Env, index: int, walk: Walk, terminal: State, context: Context, faults: Faults
) -> None:
    stage, name = env.stages[index], env.stages[index].name
    _check_columns(
        stage.features(walk.parent), len(walk.parent), stage.n_features, f"{name}.features", faults
    )
    _check_columns(stage.summary(terminal), context.n, stage.n_summary, f"{name}.summary", faults)
    inputs, size = env.features(index, walk.parent, walk.context), env.feature_sizes()[index]
    _check_columns(inputs, len(walk.parent), size, f"the environment's features of stage {name}", faults)


def _check_columns(features: Tensor, n: int, columns: int, what: str, faults: Faults) -> None:
    if tuple(features.shape) != (n, columns):
        faults.add(f"{what} has the wrong shape", f"{tuple(features.shape)} instead of {(n, columns)}")
    elif features.dtype != torch.float32:
        faults.add(f"{what} is not float32", str(features.dtype))
    else:
        faults.add_rows(f"{what} is not finite", ~torch.isfinite(features).all(dim=1))


def _check_single_rows(stage: Stage, walk: Walk, where: str, faults: Faults) -> None:
    """A row alone gives the same as in a batch."""
    together = _answers(stage, walk.parent, walk.child, walk.action, walk.context)
    step = max(1, len(walk.parent) // _SINGLE_ROWS)
    for start in range(0, len(walk.parent), step):
        row = torch.tensor([start], device=walk.context.device)
        alone = _answers(stage, walk.parent[row], walk.child[row], walk.action[row], walk.context[row])
        for name, answer in alone.items():
            if bool(differing_rows(answer, together[name][row], FEATURE_TOLERANCE).any()):
                faults.add(f"{where}{name} of a row depends on the rest of the batch", f"row {start}")


def _answers(stage: Stage, parent: State, child: State, action: Action, here: Context) -> dict[str, Any]:
    undone = stage.backward_action(parent, child, here)
    return {
        "finished": stage.finished(child),
        "at_source": stage.at_source(parent),
        "forward_support": _meant(stage.forward_support(parent, here)),
        "backward_support": _meant(stage.backward_support(child, here)),
        "step": stage.step(parent, action, here),
        "step_back": stage.step_back(child, undone, here),
        "features": stage.features(parent),
        "summary": stage.summary(child),
    }


def _meant(support: Support) -> Support:
    """A support without the widths that mean nothing."""
    if isinstance(support, Tensor):
        return support
    silent = ~support.free | support.flag_forced[:, None]
    return JumpSupport(
        support.free, support.flag_allowed, support.flag_forced, support.log_width.masked_fill(silent, 0.0)
    )


def _check_objects(env: Env, terminal: Context, faults: Faults) -> None:
    objects = env.objects(terminal)
    if len(objects) != terminal.n:
        faults.add("objects does not give one object a row", f"{len(objects)} for {terminal.n} rows")
        return
    again, inside = env.encode(objects)
    faults.add_rows("encode does not find an object of the space", ~inside)
    if again.n == terminal.n:
        for stage, before, after in zip(env.stages, terminal.states, again.states, strict=True):
            differs = differing_rows(before, after, STATE_TOLERANCE)
            faults.add_rows(f"encode(objects(x)) is not x in stage {stage.name}", differs)
    reference = env.log_reference(terminal)
    if tuple(reference.shape) != (terminal.n,) or reference.dtype != torch.float64:
        faults.add("log_reference is not (n,) float64", f"{tuple(reference.shape)} {reference.dtype}")
    else:
        faults.add_rows("log_reference is not finite", ~torch.isfinite(reference))
