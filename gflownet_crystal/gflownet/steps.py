"""Terms of trajectories state by state: transitions in the order of time, and the flows through the states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Context, State
from gflownet_crystal.gflownet.evaluated import Steps, Target
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import Trajectories

PartialReward = Callable[[int, State, Context], Tensor]
"""(m,) float64 log-rewards of m unfinished states of a stage."""


def in_order(
    model: GFlowNet,
    trajectories: Trajectories,
    log_pf: Sequence[Tensor],
    target: Target,
    partial: PartialReward | None = None,
) -> Steps:
    """Put the terms of all stages in the order of time, and add the flows of the states.

    Args:
        model: environment, and a flow network.
        trajectories: n of them.
        log_pf: (t,) forward log-probabilities of the transitions of each stage.
        target: density of the trajectories in balance.
        partial: log-rewards of unfinished states, to which the flow network adds; None for flows of the network alone.
    """
    n, device = trajectories.n, target.log_end.device
    start = torch.zeros(n, dtype=torch.int64, device=device)
    places, flows = [], []
    for index, part in enumerate(trajectories.stages):
        counts = torch.bincount(part.row, minlength=n)
        place = start[part.row] + part.step + counts[part.row] * (part.step < 0)
        start = start + counts
        places.append(place)
        flows.append(_flows(model, trajectories, index, place, partial))
    width = int(start.max())
    row, place = torch.cat([part.row for part in trajectories.stages]), torch.cat(places)
    empty = torch.zeros(n, width, dtype=torch.float64, device=device)
    flow = target.log_end[:, None].expand(n, width + 1).index_put((row, place), torch.cat(flows))
    return Steps(
        empty.index_put((row, place), torch.cat(tuple(log_pf))),
        empty.index_put((row, place), torch.cat(target.transitions)),
        flow,
        start,
    )


def _flows(
    model: GFlowNet, trajectories: Trajectories, index: int, place: Tensor, partial: PartialReward | None
) -> Tensor:
    """(t,) log-flows through the states before the transitions of one stage; log Z in the source."""
    terminal, part = trajectories.terminal, trajectories.stages[index]
    chosen = (place > 0).nonzero().squeeze(1)
    log_z = model.log_z_of(terminal)
    source = log_z.expand(len(place)) if log_z.dim() == 0 else log_z[part.row]
    if not len(chosen):
        return source
    context = terminal.before(index)[part.row[chosen]]
    state = part.parent[chosen]
    flow = model.log_flow(index, state, context)
    return source.index_copy(0, chosen, flow if partial is None else flow + partial(index, state, context))


def partial_reward(model: GFlowNet, log_reward: Callable[[object], Tensor]) -> PartialReward:
    """Log-rewards of the objects that unfinished states would be.

    Args:
        model: environment and policies.
        log_reward: (m,) log-rewards of m objects.

    Raises:
        ConfigError: the environment has no such objects.
    """
    env = model.env
    one = env.empty_context(1, model.device)
    # whether it has some shows before the first step of a training
    env.unfinished_objects(0, env.stages[0].source(one), one)
    return lambda index, state, context: log_reward(model.env.unfinished_objects(index, state, context))
