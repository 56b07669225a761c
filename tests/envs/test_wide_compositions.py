"""Spaces of many elements or atoms: built soon, and a line that says so where it takes long."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from gflownet_crystal.common.progress import announced
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.stage import CompositionStage
from tests.envs.slow_rules import SlowRules
from tests.envs.walks import group_context

IONIC = (
    "H",
    "Li",
    "B",
    "C",
    "N",
    "O",
    "F",
    "Na",
    "Mg",
    "Al",
    "Si",
    "P",
    "S",
    "Cl",
    "K",
    "Ca",
    "Ti",
    "V",
    "Mn",
    "Fe",
)
WIDE_SPACES: dict[str, dict[str, Any]] = {
    "seven metals": {
        "elements": ("Ni", "Cr", "Fe", "Nb", "Ta", "Mo", "Ti"),
        "n_elements": (7, 7),
        "metallic": True,
        "max_count": 20,
        "n_atoms": (2, 40),
    },
    "six with oxygen": {
        "elements": ("Mg", "Co", "Ni", "Cu", "Zn", "O"),
        "n_elements": (6, 6),
        "max_count": 20,
        "n_atoms": (2, 40),
    },
    "200 atoms": {"elements": IONIC, "n_elements": (2, 4), "max_count": 120, "n_atoms": (200, 200)},
}


@pytest.mark.parametrize("name", [*list(WIDE_SPACES)[:2], pytest.param("200 atoms", marks=pytest.mark.slow)])
def test_spaces_of_many_elements_or_atoms_are_built_soon_and_end_in_valid_compositions(name: str) -> None:
    rules = CompositionRules(**WIDE_SPACES[name])
    start = time.process_time()
    stage = CompositionStage(rules, range(1, 231))
    assert time.process_time() - start < 20.0
    slow = SlowRules(rules, rules.elements if rules.metallic else ())
    groups = stage.fillable.nonzero().squeeze(1)
    assert len(groups) > 100
    state, context = stage.source(group_context(1, len(groups))), group_context(1, len(groups))
    context.states[0].group.copy_(groups)
    generator = torch.Generator().manual_seed(0)
    while not bool(stage.finished(state).all()):
        rows = (~stage.finished(state)).nonzero().squeeze(1)
        support = stage.forward_support(state[rows], context[rows])
        assert support.any(dim=1).all()
        action = stage.random_action(support, generator)
        state = state.put(rows, stage.step(state[rows], action, context[rows]))
    assert all(slow.valid(g, c) for g, c in zip(groups.tolist(), state.counts.tolist(), strict=True))


def test_a_line_tells_of_work_that_takes_long_and_only_of_that(capsys: pytest.CaptureFixture[str]) -> None:
    with announced("building", after=0.01):
        time.sleep(0.2)
    with announced("soon done", after=30.0):
        pass
    with announced("quiet", after=0.0, quiet=True):
        time.sleep(0.05)
    shown = capsys.readouterr()
    assert (shown.out + shown.err) == "building\n"
