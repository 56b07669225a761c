"""The space-group stage against enumeration of its few states."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.crystallography.space_groups import (
    crystal_lattice_system_of_group,
    point_symmetry_of_group,
)
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.space_group import SpaceGroupStage, SpaceGroupState

Fields = tuple[int, int, int]
GROUPS = (1, 2, 14, 62, 75, 166, 194, 216, 225)


def as_state(rows: list[Fields]) -> SpaceGroupState:
    return SpaceGroupState(*(torch.tensor(column) for column in zip(*rows, strict=True)))


def as_rows(state: SpaceGroupState) -> list[Fields]:
    return list(zip(state.system.tolist(), state.symmetry.tolist(), state.group.tolist(), strict=True))


def walk(stage: SpaceGroupStage) -> tuple[set[Fields], set[tuple[Fields, Fields]]]:
    front: list[Fields] = [(0, 0, 0)]
    states: set[Fields] = set(front)
    edges: set[tuple[Fields, Fields]] = set()
    while front:
        state, context = as_state(front), Context(len(front), torch.device("cpu"))
        row, action = stage.forward_support(state, context).nonzero().unbind(dim=1)
        child = stage.step(state[row], action, context)
        assert torch.equal(stage.forward_action(state[row], child, context), action)
        edges |= set(zip(as_rows(state[row]), as_rows(child), strict=True))
        states |= set(as_rows(child))
        front = sorted({fields for fields in as_rows(child) if not fields[2]})
    return states, edges


def test_states_and_parents_are_those_of_the_definition() -> None:
    stage = SpaceGroupStage(GROUPS)
    states, edges = walk(stage)
    full = {(int(crystal_lattice_system_of_group[g]), int(point_symmetry_of_group[g]), g) for g in GROUPS}
    partial = {(s, p, 0) for system, symmetry, _ in full for s in (0, system) for p in (0, symmetry)}
    assert states == full | partial
    expected = {((s, p, 0), fields) for fields in full for s in (0, fields[0]) for p in (0, fields[1])}
    expected |= {((0, p, 0), (s, p, 0)) for s, p, _ in partial if s}
    expected |= {((s, 0, 0), (s, p, 0)) for s, p, _ in partial if p}
    assert edges == expected


def test_the_backward_mask_finds_the_same_edges() -> None:
    stage = SpaceGroupStage(GROUPS)
    states, edges = walk(stage)
    rows = sorted(states - {(0, 0, 0)})
    state, context = as_state(rows), Context(len(rows), torch.device("cpu"))
    row, action = stage.backward_support(state, context).nonzero().unbind(dim=1)
    parent = stage.step_back(state[row], action, context)
    assert torch.equal(stage.backward_action(parent, state[row], context), action)
    assert set(zip(as_rows(parent), as_rows(state[row]), strict=True)) == edges
    assert len(row) == len(edges)


def test_all_230_groups_are_reached_and_finish_the_stage() -> None:
    stage = SpaceGroupStage(range(1, 231))
    states, _ = walk(stage)
    assert {group for _, _, group in states} == set(range(231))
    everything = as_state(sorted(states))
    assert torch.equal(stage.finished(everything), everything.group > 0)
    assert stage.features(everything).shape == (len(states), stage.n_features)
    # features tell all states apart
    assert len(torch.unique(stage.features(everything), dim=0)) == len(states)


def test_terminal_states_carry_the_properties() -> None:
    stage = SpaceGroupStage((166, 225))
    terminal = stage.terminal(torch.tensor([166, 225]))
    assert terminal.system.tolist() == [5, 8]
    assert terminal.symmetry.tolist() == [1, 1]


def test_groups_out_of_range_and_none_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="231"):
        SpaceGroupStage([231])
    with pytest.raises(EmptySpaceError):
        SpaceGroupStage([])
