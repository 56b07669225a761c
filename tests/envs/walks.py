"""Exhaustive walks over small discrete stages."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.composition.mask_contract import CompositionMasks
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.stage import CompositionStage, CompositionState
from gflownet_crystal.envs.space_group import SpaceGroupState

Counts = tuple[int, ...]
Edge = tuple[Counts, Counts]


def stage_with(
    rules: CompositionRules, masks: type[CompositionMasks], groups: tuple[int, ...]
) -> CompositionStage:
    """A composition stage with a given way to its masks."""
    stage = CompositionStage(rules, groups)
    stage.masks = masks(rules, groups)  # type: ignore[call-arg]
    return stage


def group_context(group: int, n: int) -> Context:
    groups = torch.full((n,), group)
    return Context(n, torch.device("cpu"), (SpaceGroupState(groups, groups, groups),))


def going(counts: Tensor) -> CompositionState:
    return CompositionState(counts, torch.zeros(len(counts), dtype=torch.bool))


def walk_forward(stage: CompositionStage, group: int) -> tuple[set[Counts], set[Edge]]:
    """Every terminal that the forward mask reaches, and every edge between states on the way.

    Raises:
        AssertionError: a state allows no action.
    """
    front = torch.zeros(1, stage.n_vocabulary, dtype=torch.int64)
    terminals: set[Counts] = set()
    edges: set[Edge] = set()
    while len(front):
        context = group_context(group, len(front))
        support = stage.forward_support(going(front), context)
        assert support.any(dim=1).all(), f"dead ends in group {group}: {front[~support.any(dim=1)].tolist()}"
        row, action = support.nonzero().unbind(dim=1)
        child = stage.step(going(front[row]), action, context[row])
        terminals |= {tuple(counts) for counts in child.counts[child.stopped].tolist()}
        parents, children = front[row][~child.stopped], child.counts[~child.stopped]
        edges |= set(zip(map(tuple, parents.tolist()), map(tuple, children.tolist()), strict=True))
        front = torch.unique(children, dim=0)
    return terminals, edges


def walk_backward(stage: CompositionStage, group: int, terminals: set[Counts]) -> set[Edge]:
    """Every edge that the backward mask finds from the terminals back to the source.

    Raises:
        AssertionError: a state other than the source allows no backward action.
    """
    front = torch.tensor(sorted(terminals))
    edges: set[Edge] = set()
    while len(front):
        context = group_context(group, len(front))
        support = stage.backward_support(going(front), context)
        assert support.any(dim=1).all(), (
            f"no way back in group {group}: {front[~support.any(dim=1)].tolist()}"
        )
        row, action = support.nonzero().unbind(dim=1)
        parent = stage.step_back(going(front[row]), action, context[row])
        edges |= set(zip(map(tuple, parent.counts.tolist()), map(tuple, front[row].tolist()), strict=True))
        front = torch.unique(parent.counts, dim=0)
        front = front[front.any(dim=1)]
    return edges
