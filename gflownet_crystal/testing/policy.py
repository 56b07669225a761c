"""Checks of a policy against the contract of :mod:`gflownet_crystal.policies.base`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.policies.base import MixtureSettings, Policy, StageShape, build_heads, stage_shapes
from gflownet_crystal.testing.report import Faults, differing_rows, unchanged, watching_global_randomness
from gflownet_crystal.testing.walks import walk_forward

TOLERANCE = 1e-5
_SINGLE_ROWS = 8


def check_policy(
    policy: Callable[[Sequence[StageShape]], Policy],
    env: Env | None = None,
    n: int = 32,
    seed: int = 0,
    raise_faults: bool = True,
) -> list[str]:
    """Check a policy on the features of random trajectories.

    Found are: parameters of the wrong shape or type or not finite, changed inputs, rows that depend on their batch
    (batch normalisation), answers that change from call to call (dropout), weights that differ between two policies
    made with the same seed or come from the global random state, weights that no stage's gradient reaches, and weights
    lost by ``state_dict``.

    Args:
        policy: the class, or another callable that makes a policy from the stages' shapes.
        env: environment; by default a hypergrid and a box in turn, so that both kinds of action occur.
        n: random trajectories.
        seed: random seed of their actions.
        raise_faults: raise on faults; else only return them.

    Returns:
        The faults, one text each; empty if there are none.

    Raises:
        ContractError: lists all faults found.
    """
    faults = Faults(f"policy {getattr(policy, '__name__', type(policy).__name__)}")
    for space in [Hypergrid(2, 4), Box(2)] if env is None else [env]:
        where = f"a policy for {type(space).__name__}"
        with watching_global_randomness(faults, "the policy"), faults.stopping_at(where):
            inputs = _random_inputs(space, n, torch.Generator().manual_seed(seed), faults)
            for backward in (False, True):
                shapes = stage_shapes(space, build_heads(space, MixtureSettings(), backward))
                _check_made(policy, shapes, inputs, faults)
    return faults.finish(raise_faults)


def _random_inputs(env: Env, n: int, generator: torch.Generator, faults: Faults) -> list[Tensor]:
    """Policy inputs of each stage, from random trajectories."""
    context, inputs = env.empty_context(n, torch.device("cpu")), []
    for index, stage in enumerate(env.stages):
        walk, terminal = walk_forward(stage, stage, context, generator, f"{stage.name}.", faults)
        inputs.append(env.features(index, walk.parent, walk.context))
        context = context.extended(terminal)
    return inputs


def _check_made(
    make: Callable[[Sequence[StageShape]], Policy],
    shapes: Sequence[StageShape],
    inputs: Sequence[Tensor],
    faults: Faults,
) -> None:
    policy, twin = make(shapes), make(shapes)
    if not isinstance(policy, Policy):
        faults.add("the class does not derive from gflownet_crystal.policies.Policy")
        return
    if not unchanged(list(policy.state_dict().values()), list(twin.state_dict().values())):
        faults.add(
            "two policies made in the same way have different weights; draw them from a generator seeded by a setting"
        )
    _check_restored(policy, twin, inputs, faults)
    outputs = [
        _check_stage(policy, stage, shapes[stage], features, faults) for stage, features in enumerate(inputs)
    ]
    _check_gradients(policy, outputs, faults)


def _check_stage(policy: Policy, stage: int, shape: StageShape, features: Tensor, faults: Faults) -> Tensor:
    mine = features.clone()
    output: Tensor = policy(stage, mine)
    if not unchanged(features, mine):
        faults.add("forward changes its input")
    expected = (len(features), shape.n_parameters)
    if tuple(output.shape) != expected:
        faults.add("forward returns the wrong shape", f"{tuple(output.shape)} instead of {expected}")
        return output
    if output.dtype != torch.float32:
        faults.add("forward does not return float32", str(output.dtype))
    faults.add_rows("parameters are not finite", ~torch.isfinite(output).all(dim=1))
    if bool(differing_rows(output, policy(stage, features.clone())).any()):
        faults.add("forward is not deterministic")
        return output
    for row in torch.linspace(0, len(features) - 1, _SINGLE_ROWS).long():
        alone = policy(stage, features[row][None])
        faults.add_rows(
            "parameters of a row depend on the rest of the batch",
            differing_rows(alone, output[row][None], TOLERANCE),
        )
    return output


def _check_restored(policy: Policy, twin: Policy, inputs: Sequence[Tensor], faults: Faults) -> None:
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
        twin.load_state_dict(policy.state_dict())
        for stage, features in enumerate(inputs):
            if bool(differing_rows(policy(stage, features.clone()), twin(stage, features.clone())).any()):
                faults.add("state_dict does not hold all that forward uses")


def _check_gradients(policy: Policy, outputs: Sequence[Tensor], faults: Faults) -> None:
    named = [(name, parameter) for name, parameter in policy.named_parameters() if parameter.requires_grad]
    if not named:
        return
    total = torch.stack([output.square().sum() for output in outputs]).sum()
    if not total.requires_grad:
        faults.add("no gradient reaches the weights")
        return
    gradients = torch.autograd.grad(total, [parameter for _, parameter in named], allow_unused=True)
    for (name, _), gradient in zip(named, gradients, strict=True):
        if gradient is None:
            faults.add("no gradient reaches some weights", name)
        elif not bool(torch.isfinite(gradient).all()):
            faults.add("a gradient is not finite", name)
