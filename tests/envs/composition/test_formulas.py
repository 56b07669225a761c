"""Formulas as masks: against enumeration in plain Python, known compounds, and the reasons of what is impossible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import gcd
from typing import Any

import pytest
import torch

from benchmarks.known_formulas import compounds, exact_pairs, of_formula
from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.crystallography.oxidation import oxidation_table
from gflownet_crystal.envs.composition.listed_masks import ListedMasks
from gflownet_crystal.envs.composition.listing import listed_compositions
from gflownet_crystal.envs.composition.mask_contract import CompositionMasks
from gflownet_crystal.envs.composition.masks import LookAheadMasks, TableMasks
from gflownet_crystal.envs.composition.patterns import patterns_of
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.stage import CompositionStage
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import text_to_composition
from tests.envs.slow_rules import SlowRules, fits_positions
from tests.envs.walks import stage_with, walk_backward, walk_forward

GROUPS = (1, 2, 14, 62, 123, 166, 194, 216, 221, 225)
SPACE: dict[str, Any] = {
    "elements": ("Li", "Na", "Mn", "O", "S"),
    "max_count": 4,
    "n_atoms": (1, 14),
    "oxidation_table": "plausible",
}
FAMILY = {"A": ["Li", "Na"], "B": ["Mn", "Li"], "X": "any"}

Place = tuple[tuple[str, ...], int]
ALL = SPACE["elements"]
CASES: dict[str, tuple[Any, Any, tuple[Place, ...], bool]] = {
    "ratio": ("LiMnO2", None, ((("Li",), 1), (("Mn",), 1), (("O",), 2)), True),
    "reducible ratio": ("Na4O2", None, ((("Na",), 2), (("O",), 1)), True),
    "brackets": ("Li2(MnO2)2", None, ((("Li",), 1), (("Mn",), 1), (("O",), 2)), True),
    "counts": ({"Na": 4, "Mn": 2, "O": 4}, None, ((("Na",), 4), (("Mn",), 2), (("O",), 4)), False),
    "family": ("A2BX3", FAMILY, ((("Li", "Na"), 2), (("Mn", "Li"), 1), (ALL, 3)), True),
    "family of counts": ({"A": 2, "X": 1}, {"A": "any", "X": ["O", "S"]}, ((ALL, 2), (("O", "S"), 1)), False),
}


def has_formula(counts: Sequence[int], places: Sequence[Place], is_ratio: bool) -> bool:
    """Whether some order of the elements present fits the places of a formula."""
    present = [(symbol, count) for symbol, count in zip(ALL, counts, strict=True) if count]
    if len(present) != len(places):
        return False
    divisor = gcd(*(count for _, count in present)) if is_ratio else 1
    unit = gcd(*(count for _, count in places)) if is_ratio else 1
    return any(
        all(
            symbol in symbols and count * unit == wanted * divisor
            for (symbol, count), (symbols, wanted) in zip(order, places, strict=True)
        )
        for order in permutations(present)
    )


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_reachable_compositions_are_those_of_enumeration_in_both_directions(name: str, mixed: bool) -> None:
    formula, sites, places, is_ratio = CASES[name]
    space = {**SPACE, "mixed_valence": mixed}
    stage = CompositionStage(CompositionRules(**space, formulas=patterns_of(formula, sites)), GROUPS)
    assert isinstance(stage.masks, ListedMasks)
    slow = SlowRules(CompositionRules(**space))
    members = [counts for counts in slow._candidates() if has_formula(counts, places, is_ratio)]
    found = 0
    for group in GROUPS:
        expected = {counts for counts in members if slow.valid(group, counts)}
        assert bool(stage.fillable[group]) == bool(expected)
        if expected:
            terminals, edges = walk_forward(stage, group)
            assert terminals == expected
            assert walk_backward(stage, group, terminals) == edges
            found += len(expected)
        everything = torch.tensor(members)
        reached = stage.reached(everything, torch.full((len(everything),), group))
        assert {tuple(row) for row in everything[reached].tolist()} == expected
    assert found > 0


def test_without_charge_balance_the_positions_alone_decide() -> None:
    rules = CompositionRules(**SPACE, formulas=patterns_of("NaO3", None), charge_balance=False)
    stage = CompositionStage(rules, GROUPS)
    for group in GROUPS:
        fitting = (0, 1, 0, 3, 0) if fits_positions(group, (1, 3)) else None
        assert bool(stage.fillable[group]) == (fitting is not None)
        assert fitting is None or walk_forward(stage, group)[0] == {fitting}


def test_a_formula_asked_for_in_a_family_is_one_of_its_members() -> None:
    env = Crystal(**SPACE, formula="A2BX3", sites=FAMILY)
    narrow = env.restrict(formula="Na2MnO3")
    assert narrow.layout() == env.layout()
    assert narrow.composition.masks.wholes.tolist() == [[2, 1, 3]]
    with pytest.raises(EmptySpaceError, match="at once"):
        env.restrict(formula="NaMnO2")


@pytest.mark.parametrize("masks", [LookAheadMasks, TableMasks])
def test_with_a_given_anion_no_other_element_is_negative(masks: type[CompositionMasks]) -> None:
    space: dict[str, Any] = {"max_count": 4, "n_atoms": (1, 12)}
    given = CompositionRules(("Na", "S", "Cl", "O"), **space, oxidation_table="plausible", anion=("O",))
    rules = given.of_usable_elements()
    # chlorine has negative states alone; sulphates are oxides, sulphides are none
    assert rules.elements == ("Na", "S", "O")
    slow = SlowRules(
        CompositionRules(rules.elements, **space, oxidation_table={"base": "plausible", "S": [4, 6]})
    )
    stage = stage_with(rules, masks, GROUPS)
    found = 0
    for group in GROUPS:
        expected = slow.enumerate(group)
        assert bool(stage.fillable[group]) == bool(expected)
        assert not expected or walk_forward(stage, group)[0] == expected
        found += len(expected)
    assert found > 0


def test_an_anion_given_within_others_is_one_of_them() -> None:
    env = Crystal(("Na", "O", "F", "S"), anion=["O", "F"], max_count=4)
    assert env.rules.restricted(anion="O").anion == ("O",)
    with pytest.raises(ConfigError, match="none of O, F"):
        env.restrict(anion="S")


ELEMENTS = [symbol for symbol, states in oxidation_table("plausible").items() if states]


def test_known_compounds_are_reached_by_their_ratios_and_nothing_else_is() -> None:
    """Those of ``benchmarks.known_formulas``, which has all of them in all groups, each in less than a second."""
    for group, cell in compounds()[::8]:
        env, seconds = of_formula("crystal_89", cell)
        assert seconds < 1.0
        counts = text_to_composition([cell])[:, env.atomic_numbers]
        assert bool(env.composition.reached(counts, torch.tensor([group])))
        same, n_pairs = exact_pairs(env, cell, [2, 62, 194, group])
        assert same and n_pairs > 0


def test_the_compositions_of_a_formula_are_its_multiples() -> None:
    env = Crystal(ELEMENTS, formula="LiFePO4", max_count=24, oxidation_table="plausible")
    assert env.composition.masks.wholes.tolist() == [[z, 4 * z, z, z] for z in range(1, 7)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"formula": "NaO"}, "is neutral.*Na \\+1, O -2"),
        ({"formula": "NaCl"}, "needs Cl, not among elements"),
        ({"formula": "Na2O", "excluded_elements": ["Na"]}, "needs Na, which may not be used"),
        ({"formula": "Li7O"}, "7 atoms of an element, but max_count is 4"),
        ({"formula": "Li3Na4Mn4O4"}, "15 atoms, but n_atoms is at most 14"),
        ({"formula": "LiMnO2", "n_elements": (1, 2)}, "3 elements, but n_elements is \\[1, 2\\]"),
        ({"formula": "Na2O", "required_elements": ["S"]}, "S, which the formula or anion"),
        ({"formula": "Na2O", "n_atoms": (4, 5)}, "n_atoms=\\[4, 5\\] \\(it has 3\\)"),
        (
            {"formula": "Na2O", "space_groups": [227]},
            "no Wyckoff positions of space group 227 hold formula Na2O",
        ),
        ({"formula": "AB", "sites": {"A": ["Na"], "B": ["Na"]}}, "no distinct elements"),
        ({"anion": "Na"}, "none of them may be used or has a negative"),
    ],
)
def test_what_is_impossible_is_refused_with_the_reason(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EmptySpaceError, match=words):
        Crystal(**{**SPACE, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"formula": "Xx2O"}, "no element Xx"),
        ({"formula": "A2O"}, "no element A.*sites"),
        ({"formula": "Na0.5O"}, "cannot be read"),
        ({"formula": "Na(O"}, "cannot be read"),
        ({"formula": "Na()2"}, "cannot be read"),
        ({"formula": "Na0O"}, "count of 0"),
        ({"formula": ""}, "cannot be read"),
        ({"formula": False}, "formula is False"),
        ({"formula": {"Na": 0}}, "formula.Na is 0"),
        ({"formula": {"Na": "two"}}, "formula.Na is 'two'"),
        ({"formula": "Na2O", "sites": {"A": ["Na"]}}, "sites names A, not in formula"),
        ({"formula": "A2O", "sites": {"A": []}}, "sites.A is"),
        ({"formula": "A2O", "sites": {"A": ["Qq"]}}, "sites.A: no element Qq"),
        ({"formula": "A2O", "sites": {"A": [["Na"]]}}, "sites.A: no element"),
        ({"sites": 0.5}, "there is no formula"),
        ({"anion": 3}, "give a list of symbols"),
        ({"anion": [["O"]]}, "anion: no element"),
        ({"formula": "A2O", "sites": [2, 1]}, "give elements by letter"),
        ({"formula": "A2O", "sites": "any"}, "give elements by letter"),
        ({"sites": {"A": ["Na"]}}, "there is no formula"),
        ({"charge_balance": False}, "needs a formula"),
        ({"anion": "Cl"}, "Cl, not among elements"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Crystal(**{**SPACE, **changes})


def test_families_too_large_to_list_are_refused() -> None:
    rules = CompositionRules(SYMBOLS[1:95], formulas=patterns_of("ABCX3", dict.fromkeys("ABCX", "any")))
    with pytest.raises(ConfigError, match="stands for"):
        listed_compositions(rules)


@pytest.mark.parametrize("name", ["excluded_elements", "required_elements", "elements"])
@pytest.mark.parametrize(("given", "words"), [(3, "give a list of symbols"), ([["O"]], "no element|not in")])
def test_restrictions_that_are_no_lists_of_symbols_are_refused(name: str, given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Crystal(**SPACE).restrict(**{name: given})
