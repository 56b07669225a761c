"""The shipped known compounds: what everyone knows is in them, what nobody made is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.weights import load_weights, save_weights

KNOWN = KnownCompounds.from_weights()


def look_up(known: KnownCompounds, *pairs: tuple[str, int]) -> list[tuple[bool, bool]]:
    formulas, groups = zip(*pairs, strict=True)
    found = known.look_up(text_to_composition(formulas), torch.tensor(groups))
    return list(zip(*(column.tolist() for column in found), strict=True))


@pytest.mark.parametrize(
    ("formula", "group"),
    [
        ("Na4 Cl4", 225), ("Ca4 F8", 225), ("Zn4 S4", 216), ("Cr4 O6", 167), ("Ti2 O4", 136), ("Mg2 Al4 O8", 227),
        ("Sr1 Ti1 O3", 221), ("Ga2 N2", 186), ("Fe2 S4", 205), ("Li4 Fe4 P4 O16", 62),
    ],
)  # fmt: skip
def test_well_known_crystals_are_known(formula: str, group: int) -> None:
    assert look_up(KNOWN, (formula, group)) == [(True, True)]


def test_another_group_or_an_invented_formula_is_not() -> None:
    assert look_up(KNOWN, ("Na2 Cl2", 98), ("Na1 Ca3 S2 F17", 1), ("Ne3 Au7", 225)) == [
        (True, False),
        (False, False),
        (False, False),
    ]


def test_both_hands_of_quartz_are_one() -> None:
    assert look_up(KNOWN, ("Si3 O6", 152), ("Si3 O6", 154)) == [(True, True)] * 2


def test_no_two_of_the_known_formulas_share_a_key() -> None:
    _, card = load_weights("known_compounds", "known_compounds")
    assert card["validation"]["formulas_that_share_a_key"] == 0
    assert (len(KNOWN.formulas), len(KNOWN)) == (card["formulas"], card["formulas_with_groups"])


def test_few_unknown_formulas_are_taken_for_known() -> None:
    generator = torch.Generator().manual_seed(0)
    composition = torch.zeros(50_000, 119, dtype=torch.int64)
    elements = torch.rand(50_000, 94, generator=generator).argsort(1)[:, :6] + 1
    composition.scatter_(1, elements, torch.randint(13, 30, (50_000, 6), generator=generator))
    formula, pair = KNOWN.look_up(composition, torch.ones(50_000, dtype=torch.int64))
    # 0.004 are to be expected
    assert int(formula.sum()) == int(pair.sum()) == 0


def test_sets_are_joined_and_stored(tmp_path: Path) -> None:
    other = KnownCompounds.of(text_to_composition(["Na1 Ca3 S2 F17"]), torch.tensor([0]))
    save_weights(tmp_path / "known.safetensors", (KNOWN | other).tensors(), {"kind": "known_compounds"})
    both = KnownCompounds.from_weights(tmp_path / "known.safetensors")
    assert len(both) == len(KNOWN) + 1
    # a crystal without a group makes its formula known, and no group of it
    assert look_up(both, ("Na2 Ca6 S4 F34", 1), ("Na4 Cl4", 225)) == [(True, False), (True, True)]


def test_files_that_hold_no_keys_are_refused(tmp_path: Path) -> None:
    save_weights(
        tmp_path / "a.safetensors", {"keys": torch.zeros(7, dtype=torch.uint8)}, {"kind": "known_compounds"}
    )
    with pytest.raises(WeightsError, match="does not fit its card"):
        KnownCompounds.from_weights(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="known_compounds"):
        KnownCompounds.from_weights("mlp")


def test_an_empty_set_knows_nothing() -> None:
    assert look_up(KnownCompounds(torch.zeros(0, dtype=torch.int64)), ("Na1 Cl1", 225)) == [(False, False)]
