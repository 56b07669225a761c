"""The composition stage with everyday oxidation states against enumeration in plain Python."""

from __future__ import annotations

from typing import Any

import pytest

from gflownet_crystal.envs.composition.mask_contract import CompositionMasks
from gflownet_crystal.envs.composition.masks import LookAheadMasks, TableMasks
from gflownet_crystal.envs.composition.rules import CompositionRules
from tests.envs.slow_rules import SlowRules
from tests.envs.walks import stage_with, walk_backward, walk_forward

METALS = ("Na", "Fe", "Mn", "Cr", "Pb", "Sb")
GROUPS = (1, 14, 62, 166, 221, 225)

SPACES: dict[str, dict[str, Any]] = {
    "everyday states": {
        "elements": ("Na", "Mn", "S", "O", "P"),
        "max_count": 4,
        "n_atoms": (1, 10),
        "oxidation_table": "plausible",
    },
    "everyday states of alloys": {
        "elements": ("Fe", "Pb", "O", "Sb"),
        "max_count": 4,
        "n_atoms": (1, 12),
        "oxidation_table": "plausible",
        "metallic": True,
    },
    "everyday states, required": {
        "elements": ("Na", "Cr", "O", "N"),
        "max_count": 4,
        "required_elements": ("N", "O"),
        "oxidation_table": "plausible",
    },
    "everyday states and peroxides": {
        "elements": ("Na", "Fe", "O", "Cl"),
        "max_count": 4,
        "n_atoms": (1, 12),
        "oxidation_table": {"base": "plausible", "O": [-2, -1], "Cl": [-1, 7]},
    },
}


@pytest.mark.parametrize("masks", [LookAheadMasks, TableMasks])
@pytest.mark.parametrize("name", SPACES)
def test_reachable_terminals_are_those_of_enumeration_in_both_directions(
    name: str, masks: type[CompositionMasks]
) -> None:
    rules = CompositionRules(**SPACES[name])
    stage = stage_with(rules, masks, GROUPS)
    slow = SlowRules(rules, METALS)
    for group in GROUPS:
        expected = slow.enumerate(group)
        assert bool(stage.fillable[group]) == bool(expected)
        if expected:
            terminals, edges = walk_forward(stage, group)
            assert terminals == expected
            assert walk_backward(stage, group, terminals) == edges
