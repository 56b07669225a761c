"""Splits share no reduced formula, whatever the multiples and groups in which formulas come."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from gflownet_crystal.data.prepare import prepare
from gflownet_crystal.data.splits import in_holdout, reduced_formulas, split_by_formula, without_formulas
from gflownet_crystal.training.proxies.recipe import split_table
from tests.data.crystals import stored_frame

FORMULAS = st.lists(
    st.sampled_from(
        ["Na4 Cl4", "Na1 Cl1", "Zn2 S2", "Zn1 S1", "Ti2 O4", "O2 Ti1", "Al4 O6", "Li1 F1", "Fe3 O4", "Mg1"]
    ),
    min_size=6,
    max_size=40,
)


def oracle(formulas: list[str]) -> set[str]:
    return {Composition(formula).reduced_formula for formula in formulas}


@given(FORMULAS, st.sets(st.sampled_from(["NaCl", "ZnS", "TiO2", "LiF"])))
def test_no_banned_formula_survives_and_no_other_is_lost(formulas: list[str], banned: set[str]) -> None:
    table = pd.DataFrame({"formula": formulas, "space_group": np.arange(len(formulas)) % 230 + 1})
    kept = without_formulas(
        table, reduced_formulas(pd.DataFrame({"formula": sorted(banned)})) if banned else []
    )
    names = oracle(["NaCl", "ZnS", "TiO2", "LiF"])
    assert oracle(kept["formula"].tolist()).isdisjoint(oracle(sorted(banned)))
    expected = [f for f in formulas if Composition(f).reduced_formula not in oracle(sorted(banned)) & names]
    assert kept["formula"].tolist() == expected


@given(FORMULAS.filter(lambda formulas: len(oracle(formulas)) >= 3), st.integers(0, 99))
def test_random_split_is_disjoint_by_formula(formulas: list[str], seed: int) -> None:
    first, second = split_by_formula(pd.DataFrame({"formula": formulas}), 0.3, seed)
    assert oracle(first["formula"].tolist()).isdisjoint(oracle(second["formula"].tolist()))
    assert sorted([*first["formula"], *second["formula"]]) == sorted(formulas)


def test_holdout_depends_on_the_formula_alone() -> None:
    names = np.array([f"X{i}" for i in range(4000)])
    held = in_holdout(names, 0.1, seed=3)
    assert 0.07 < held.mean() < 0.13
    np.testing.assert_array_equal(in_holdout(names[::-1], 0.1, seed=3)[::-1], held)
    np.testing.assert_array_equal(in_holdout(names[held], 0.1, seed=3), True)


def test_training_rows_share_no_formula_with_validation_or_holdout() -> None:
    table = prepare(stored_frame())
    other_groups = table.assign(space_group=1, energy_source="matbench", mp20_split="train")
    strained = table.assign(strain="scale")
    table.loc[[0, 3], "mp20_split"] = "val"
    whole = pd.concat([table, other_groups, strained], ignore_index=True)
    parts = split_table(whole, holdout=0.3)
    train = set(reduced_formulas(parts.train))
    assert train and train.isdisjoint(reduced_formulas(parts.validation))
    assert train.isdisjoint(reduced_formulas(parts.holdout)) if len(parts.holdout) else True
    assert set(parts.validation["formula"]) == {"Na4 Cl4", "Ti2 O4"}
