"""The composition stage against enumeration in plain Python."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.composition import deep as composition_deep
from gflownet_crystal.envs.composition.mask_contract import CompositionMasks
from gflownet_crystal.envs.composition.masks import LookAheadMasks, TableMasks
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.stage import CompositionStage, CompositionState
from tests.envs.slow_rules import SlowRules, fits_positions
from tests.envs.walks import going, group_context, stage_with, walk_backward, walk_forward

METALS = ("Na", "Mg", "Al", "Fe", "Cu")
GROUPS = (1, 2, 12, 14, 47, 62, 99, 123, 166, 194, 216, 221, 225)
ONE_STATE: dict[str, Any] = {"oxidation_table": "icsd", "mixed_valence": False}

SPACES: dict[str, dict[str, Any]] = {
    "ionic": {"elements": ("Na", "Mg", "O", "Cl"), "max_count": 4, "n_atoms": (1, 10), **ONE_STATE},
    "mixed valence": {"elements": ("Na", "Fe", "O", "Cl"), "max_count": 4, "n_atoms": (1, 12)},
    "metallic": {"elements": ("Na", "Cu", "O", "Al"), "max_count": 4, "n_atoms": (1, 12), "metallic": True},
    "required": {
        "elements": ("Na", "Mg", "O", "Cl"),
        "max_count": 4,
        "required_elements": ("O",),
        **ONE_STATE,
    },
    "two required": {"elements": ("Na", "Fe", "O", "S"), "max_count": 4, "required_elements": ("Fe", "O")},
    "minimum elements": {
        "elements": ("Na", "Mg", "O", "Cl", "Fe"),
        "max_count": 2,
        "n_elements": (4, 5),
        **ONE_STATE,
    },
    "minimum atoms": {
        "elements": ("Na", "Cu", "O", "Xe"),
        "max_count": 3,
        "n_atoms": (8, 12),
        "metallic": True,
    },
    "tight budget": {"elements": ("Na", "Fe", "O", "S", "P"), "max_count": 4, "n_atoms": (1, 7), **ONE_STATE},
    "count ranges": {
        "elements": ("Na", "Fe", "O", "S"),
        "max_count": 5,
        "count_ranges": {"O": (2, 3), "Fe": (1, 2)},
        "excluded_elements": ("S",),
    },
    "at most two elements": {
        "elements": ("Na", "Mg", "O", "Cl"),
        "max_count": 5,
        "n_elements": (1, 2),
        **ONE_STATE,
    },
    "all six elements": {
        "elements": ("Na", "K", "Mg", "O", "S", "Cl"),
        "max_count": 2,
        "n_elements": (6, 6),
        "n_atoms": (6, 12),
    },
    "five of six elements": {
        "elements": ("Na", "K", "Cu", "Al", "O", "Cl"),
        "max_count": 2,
        "n_elements": (5, 5),
        "n_atoms": (6, 10),
        "metallic": True,
    },
    "nearly all the atoms that fit": {
        "elements": ("Na", "Fe", "O", "Cl"),
        "max_count": 5,
        "n_atoms": (17, 18),
    },
    "required among many": {
        "elements": ("Na", "Mg", "O", "Cl", "Fe"),
        "max_count": 3,
        "n_elements": (4, 5),
        "n_atoms": (8, 12),
        "required_elements": ("O", "Fe"),
    },
    "only three together": {
        "elements": ("Na", "P", "S"),
        "max_count": 2,
        "oxidation_table": {"Na": [1], "P": [-3], "S": [2]},
        "count_ranges": {"Na": (1, 1), "P": (1, 1), "S": (1, 1)},
        "mixed_valence": False,
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
    found = 0
    for group in GROUPS:
        expected = slow.enumerate(group)
        assert bool(stage.fillable[group]) == bool(expected)
        if expected:
            terminals, edges = walk_forward(stage, group)
            assert terminals == expected
            assert walk_backward(stage, group, terminals) == edges
            found += len(expected)
    assert found > 0


@pytest.mark.parametrize("name", [name for name, space in SPACES.items() if len(space["elements"]) > 3])
def test_look_ahead_without_a_list_of_choices_finds_what_enumeration_finds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition_deep, "MOST_CHOICES", 0)
    rules = CompositionRules(**SPACES[name])
    stage = stage_with(rules, LookAheadMasks, GROUPS)
    slow = SlowRules(rules, METALS)
    for group in GROUPS:
        expected = slow.enumerate(group)
        assert bool(stage.fillable[group]) == bool(expected)
        assert not expected or walk_forward(stage, group)[0] == expected


def random_rules(generator: torch.Generator) -> CompositionRules:
    """Small spaces of any chemistry, where look-ahead may lose compositions but must stay consistent."""

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    pool = ("Br", "Pb", "Y", "B", "Be", "Co", "P", "Na", "S", "Mn", "Si", "Cl")
    chosen = torch.randperm(len(pool), generator=generator)[: draw(3, 4)].tolist()
    elements = tuple(pool[index] for index in chosen)
    least = draw(1, 2)
    return CompositionRules(
        elements,
        max_count=draw(2, 5),
        n_atoms=(draw(1, 4), draw(6, 10)),
        n_elements=(least, draw(least, len(elements))),
        required_elements=elements[: draw(0, min(1, least))],
        oxidation_table=("icsd", "default", "common", "plausible")[draw(0, 3)],
        mixed_valence=bool(draw(0, 1)),
        metallic=bool(draw(0, 1)),
    )


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_to_the_masks_agree_with_the_slow_rules(seed: int) -> None:
    rules = random_rules(torch.Generator().manual_seed(seed))
    metals = ("Pb", "Y", "Be", "Co", "Na", "Mn")
    look, table = (stage_with(rules, masks, GROUPS) for masks in (LookAheadMasks, TableMasks))
    slow = SlowRules(rules, metals)
    for group in GROUPS:
        expected = slow.enumerate(group)
        assert bool(look.fillable[group]) == bool(table.fillable[group]) == bool(expected)
        if not expected:
            continue
        assert walk_forward(table, group)[0] == expected
        terminals, edges = walk_forward(look, group)
        assert terminals <= expected
        assert walk_backward(look, group, terminals) == edges
        counts = torch.tensor(sorted(expected))
        reached = look.reached(counts, torch.full((len(counts),), group))
        assert {tuple(row) for row in counts[reached].tolist()} == terminals


def paper_like_stage(**changes: Any) -> CompositionStage:
    elements = ("H", "Li", "C", "N", "O", "F", "Mg", "Si", "P", "S", "Cl", "Fe")
    return CompositionStage(CompositionRules(elements, **changes), GROUPS)


@pytest.mark.parametrize(
    "changes",
    [
        ONE_STATE,
        {},
        {"metallic": True},
        {"oxidation_table": "plausible"},
        {"oxidation_table": "plausible", "n_elements": (3, 4)},
        {"required_elements": ("Li", "O"), **ONE_STATE},
        {"n_elements": (3, 4), **ONE_STATE},
        {"n_atoms": (30, 50), **ONE_STATE},
    ],
)
def test_random_walks_in_a_large_space_end_in_valid_compositions_and_can_be_undone(
    changes: dict[str, Any],
) -> None:
    stage = paper_like_stage(**changes)
    slow = SlowRules(stage.rules, ("Li", "Mg", "Fe"))
    generator = torch.Generator().manual_seed(0)
    groups = stage.fillable.nonzero().squeeze(1).repeat(16)
    context = group_context(1, len(groups))
    context.states[0].group.copy_(groups)
    state, row = stage.source(context), torch.arange(len(groups))
    terminal = state
    for _ in range(stage.max_transitions):
        here = context[row]
        action = stage.random_action(stage.forward_support(state, here), generator)
        child = stage.step(state, action, here)
        undo = stage.backward_action(state, child, here)
        assert stage.backward_support(child, here).gather(1, undo[:, None]).all()
        parent = stage.step_back(child, undo, here)
        assert torch.equal(parent.counts, state.counts) and torch.equal(parent.stopped, state.stopped)
        assert torch.equal(stage.forward_action(state, child, here), action)
        done = stage.finished(child)
        terminal = terminal.put(row[done], child[done])
        state, row = child[~done], row[~done]
    assert not len(row)
    assert all(slow.valid(g, c) for g, c in zip(groups.tolist(), terminal.counts.tolist(), strict=True))
    assert stage.reached(terminal.counts, groups).all()


def test_every_backward_action_leads_to_a_state_whose_forward_mask_leads_back() -> None:
    stage = paper_like_stage(**ONE_STATE)
    generator = torch.Generator().manual_seed(1)
    group = 62
    counts = torch.zeros(200, 12, dtype=torch.int64)
    for _ in range(3):
        context = group_context(group, len(counts))
        support = stage.forward_support(going(counts), context)
        support[:, -1] &= ~support[:, :-1].any(dim=1)
        counts = stage.step(going(counts), stage.random_action(support, generator), context).counts
    context = group_context(group, len(counts))
    support = stage.backward_support(going(counts), context)
    for element in range(12):
        rows = (counts[:, element] > 0).nonzero().squeeze(1)
        parent = counts[rows].clone()
        parent[:, element] = 0
        action = element * stage.n_counts + counts[rows, element] - 1
        here = group_context(group, len(rows))
        forward = stage.forward_support(going(parent), here).gather(1, action[:, None]).squeeze(1)
        # allowed backward implies allowed forward; the reverse needs the parent to be reached as well
        assert (~support[rows, element] | forward).all()
        assert not (support[:, element] & (counts[:, element] == 0)).any()


def test_one_fold_positions_of_group_221_hold_two_elements_only() -> None:
    assert not fits_positions(221, (1, 1, 1))
    rules = CompositionRules(
        ("Na", "Cl", "Br"), max_count=2, oxidation_table={"Na": [1], "Cl": [-1], "Br": [1]}
    )
    stage = CompositionStage(rules, (1, 221))
    counts = torch.tensor([[1, 2, 1], [1, 1, 0]])
    groups = torch.tensor([[1, 1], [221, 221]])
    assert stage.reached(counts, groups[0]).tolist() == [True, True]
    # Na and Br would take both one-fold positions, and Cl2 has none left but orbits of 3 and more
    assert stage.reached(counts, groups[1]).tolist() == [False, True]


def test_magnetite_needs_mixed_valence() -> None:
    counts, group = torch.tensor([[24, 32]]), torch.tensor([227])
    for mixed, expected in ((False, False), (True, True)):
        rules = CompositionRules(
            ("Fe", "O"), max_count=32, n_atoms=(1, 56), oxidation_table="icsd", mixed_valence=mixed
        )
        assert CompositionStage(rules, (227,)).reached(counts, group).item() is expected


def test_sizes_and_ranges_of_features() -> None:
    stage = CompositionStage(CompositionRules(("Na", "Cl"), max_count=4))
    state = CompositionState(torch.tensor([[0, 0], [4, 4]]), torch.tensor([False, True]))
    assert stage.features(state).shape == (2, stage.n_features)
    assert stage.summary(state[torch.tensor([1])]).shape == (1, stage.n_summary)
    assert stage.features(state).dtype == torch.float32


def test_binary_digits_among_the_features_tell_the_count() -> None:
    stage = CompositionStage(CompositionRules(("Na", "Cl"), max_count=12))
    counts = torch.cartesian_prod(torch.arange(13), torch.arange(13))
    features = stage.features(CompositionState(counts, torch.zeros(len(counts), dtype=torch.bool)))
    digits = features[:, 6:16].reshape(-1, 2, 5)
    assert torch.equal(digits @ torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]), counts.float())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"elements": ("Na", "Xx")}, "no element Xx"),
        ({"elements": ()}, "empty"),
        ({"elements": ("Na", "Na")}, "twice"),
        ({"required_elements": ("O",)}, "O, not among"),
        ({"required_elements": ("Na",), "excluded_elements": ("Na",)}, "both required and excluded"),
        ({"n_elements": (3, 2)}, "n_elements"),
        ({"n_atoms": (0, 5)}, "n_atoms"),
        ({"count_ranges": {"Na": (4, 2)}}, "count_ranges.Na"),
        ({"max_count": 0}, "max_count"),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CompositionRules(**{"elements": ("Na", "Cl"), **changes})
