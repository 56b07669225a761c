"""The exact distribution of a sampler of discrete objects, by dynamic programming over its state graph.

Objects that can be built in several orders get the sum over all of them: probability mass is pushed from the source
step by step, and states that coincide are merged, so the cost grows with the number of states and not of trajectories.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, DiscreteActions, Stage, State
from gflownet_crystal.gflownet.model import GFlowNet


@torch.no_grad()
def terminal_distribution(model: GFlowNet, batch_size: int = 16_384) -> tuple[Context, Tensor]:
    """Every object the forward policy can make, and how likely it is.

    Args:
        model: environment, all of whose stages are discrete, and policies.
        batch_size: states evaluated at once.

    Returns:
        Terminal states of k different objects, and (k,) float64 probabilities that sum to 1.

    Raises:
        ConfigError: a stage is continuous.
    """
    continuous = [
        stage.name for stage in model.env.stages if not isinstance(stage.forward_actions, DiscreteActions)
    ]
    if continuous:
        raise ConfigError(
            f"only discrete stages have an exact distribution; {', '.join(continuous)} is continuous"
        )
    context = model.env.empty_context(1, model.device)
    mass = torch.ones(1, dtype=torch.float64, device=model.device)
    for index, stage in enumerate(model.env.stages):
        owner, state, mass = _pass_stage(model, index, stage, context, mass, batch_size)
        context = context[owner].extended(state)
    return context, mass


def _pass_stage(
    model: GFlowNet, index: int, stage: Stage, context: Context, mass: Tensor, batch_size: int
) -> tuple[Tensor, State, Tensor]:
    """Finished states of a stage: the context each belongs to, the state, and its probability."""
    owner, state = torch.arange(context.n, device=context.device), stage.source(context)
    finished: list[tuple[Tensor, State, Tensor]] = []
    for _ in range(stage.max_transitions):
        parts = [
            _expand(model, index, stage, context, owner[rows], state[rows], mass[rows])
            for rows in torch.arange(len(owner), device=owner.device).split(batch_size)
        ]
        owner, state, mass = _merge(parts)
        done = stage.finished(state)
        finished.append((owner[done], state[done], mass[done]))
        owner, state, mass = owner[~done], state[~done], mass[~done]
        if not len(owner):
            break
    return _merge(finished)


def _expand(
    model: GFlowNet, index: int, stage: Stage, context: Context, owner: Tensor, state: State, mass: Tensor
) -> tuple[Tensor, State, Tensor]:
    """Every child of some states, with the mass that flows to it."""
    here = context[owner]
    support = stage.forward_support(state, here)
    if not isinstance(support, Tensor):
        raise ConfigError(f"stage {stage.name} declares discrete actions but its support is not a mask")
    parameters = model.forward_parameters(index, state, here)
    row, action = support.nonzero(as_tuple=True)
    log_prob = model.forward_heads[index].log_prob(parameters[row], support[row], action)
    child = stage.step(state[row], action, here[row])
    return _merge([(owner[row], child, mass[row] * log_prob.exp())])


def _merge(parts: list[tuple[Tensor, State, Tensor]]) -> tuple[Tensor, State, Tensor]:
    owners, states, masses = zip(*parts, strict=True)
    owner, state, mass = torch.cat(owners), type(states[0]).cat(states), torch.cat(masses)
    key = row_hash([owner, *state.to_dict().values()])
    _, inverse = torch.unique(key, return_inverse=True)
    n = int(inverse.max()) + 1 if len(inverse) else 0
    places = torch.arange(len(inverse), device=inverse.device)
    first = torch.full((n,), len(inverse), device=inverse.device).scatter_reduce_(0, inverse, places, "amin")
    return (
        owner[first],
        state[first],
        torch.zeros(n, dtype=mass.dtype, device=mass.device).index_add_(0, inverse, mass),
    )


def row_hash(columns: list[Tensor]) -> Tensor:
    """(n,) int64 fingerprint of rows of integers or booleans; a million rows collide with probability below 1e-6.

    Args:
        columns: tensors with n rows each.

    Raises:
        ConfigError: a tensor is floating point, where equality means little.
    """
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(len(columns[0]), dtype=torch.int64, device=columns[0].device)
    for column in columns:
        if column.is_floating_point():
            raise ConfigError("rows of floating-point numbers cannot be merged; only discrete states can")
        flat = column.reshape(len(column), -1).long()
        # odd random multipliers; sums wrap around modulo 2^64
        multipliers = torch.randint(-(2**62), 2**62, (flat.shape[1],), generator=generator) * 2 + 1
        total = total + (flat * multipliers.to(flat.device)).sum(dim=1)
    return total
