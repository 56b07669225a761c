"""The table of everyday states, and named tables with other states of some elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from pymatgen.core import Composition, Element

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.oxidation import OxidationTable, TableSetting, oxidation_table

# salts, oxides, oxoanions, mixed valence, covalent solids, hydrides, pairs of anions, several anions
KNOWN = """
NaCl CaF2 MgO Al2O3 TiO2 BaTiO3 MgAl2O4 ZnS Fe2O3 FeO TiN LiFePO4 LiCoO2 YBa2Cu3O7 SrFeO3 CeO2 Eu2O3
CaSO4 KNO3 NaNO2 Na3PO4 KH2PO4 CaCO3 Na2SO3 NaBO2 B2O3 Ca3Si2O7 KMnO4 K2Cr2O7 CaC2O4 KCN AgNO3
Fe3O4 Pb3O4 Mn3O4 Co3O4 Sb2O4 BaBiO3 Sn2S3 Ti4O7 Ce7O12
SiC GaAs BN AlN GaN SiO2 GeS2 Si3N4 Li3N Al4C3 Ca3P2
LiH CaH2 NaBH4 NH4Cl LiOH CaC2 FeS2 PtP2 LaFe4P12 CoAs3 CoSb3
LaOF BiOCl PbFCl Na6S2O8FCl Ca5P3O12F Na3PS4 MnPS3 CuInSe2 SF6 PF5 KPF6
"""
# too much or too little of the anion, halogens above their halide, an anion between two states
ABSURD = """
NaCa3S2F17 Al3FeCo2F23 NaO3 Ca2O5 NaCl3 LiF2 CaF3 MgF3 AlF4 BF4 SiF5 NaF7 ZnF4 K2ClF9 Na2BrO2F7
MgO2F TiO3 ZnO3 AlO2 Si2O5 Li3O Na3O2 K2O3 MgCl CaCl4 Li2N BaS3 CO3 AlPO5 Mg2Si3O9 LiNaF4 CrF8
"""
# what chemists know and the table leaves to names
BY_NAME = {
    "Na2O2": {"O": [-2, -1]},
    "BaO2": {"O": [-2, -1]},
    "NaClO4": {"Cl": [-1, 7]},
    "KBrO3": {"Br": [-1, 5]},
    "KIO3": {"I": [-1, 5]},
    "Mg2Si": {"Si": [-4, 4]},
    "Sr2FeO5": {"Fe": [2, 3, 6]},
}


def balances(formula: str, table: TableSetting = "plausible", mixed_valence: bool = True) -> bool:
    """Whether the formula as written is neutral."""
    counts = {symbol: int(n) for symbol, n in Composition(formula).get_el_amt_dict().items()}
    model = ChargeModel(list(counts), table, mixed_valence, metallic=True, max_count=max(counts.values()))
    model.metallic = False
    return bool(model.neutral(torch.tensor([list(counts.values())])))


@pytest.mark.parametrize("formula", KNOWN.split())
def test_known_compounds_balance(formula: str) -> None:
    assert balances(formula)


@pytest.mark.parametrize("formula", ABSURD.split())
def test_absurd_formulas_do_not(formula: str) -> None:
    assert not balances(formula)


@pytest.mark.parametrize("formula", BY_NAME)
def test_peroxides_oxoanions_of_halogens_and_silicides_are_asked_for_by_name(formula: str) -> None:
    assert not balances(formula)
    assert balances(formula, {"base": "plausible", **BY_NAME[formula]})


def test_perchlorate_by_name_does_not_let_oxygen_change() -> None:
    table = {"base": "plausible", "Cl": [-1, 7]}
    assert balances("NaCl", table)
    assert not balances("Na2O2", table)


def test_a_peroxide_is_one_state_of_all_oxygen_or_none() -> None:
    table = {"base": "plausible", "O": [-2, -1]}
    assert balances("Na2O", table)
    assert not balances("Na3O2", table)
    assert balances("Na3O2", {"base": "default", "O": [-2, -1]})


def test_metals_mix_neighbouring_states_and_non_metals_none() -> None:
    plausible = OxidationTable.of("plausible")
    for symbol, states in plausible.states.items():
        sets = plausible.together(symbol, mixed_valence=True)
        assert [(state,) for state in states] == plausible.together(symbol, mixed_valence=False)
        several = [some for some in sets if len(some) > 1]
        element = Element(symbol)
        assert not several or element.is_metal or symbol in ("Ge", "Sb")
        for lower, upper in several:
            assert lower > 0
            assert upper - lower in (1, 2)
            assert not [state for state in states if lower < state < upper]
    assert (4, 7) not in plausible.together("Mn", mixed_valence=True)
    assert (2, 4) in plausible.together("Pb", mixed_valence=True)


def test_everyday_states_are_fewer_than_those_of_default_and_hold_one_state_of_each_anion() -> None:
    plausible, default = oxidation_table("plausible"), oxidation_table("default")
    assert sum(map(len, plausible.values())) < 0.8 * sum(map(len, default.values()))
    assert {symbol: plausible[symbol] for symbol in ("O", "F", "Cl", "Br", "I")} == {
        "O": (-2,),
        "F": (-1,),
        "Cl": (-1,),
        "Br": (-1,),
        "I": (-1,),
    }
    for symbol, states in plausible.items():
        assert list(states) == sorted(set(states))
        if Element(symbol).is_metal and symbol != "Sb":
            assert all(state > 0 for state in states), symbol
        assert bool(states) == (symbol not in ("He", "Ne", "Ar", "Kr", "Rn"))


def test_reports_of_the_icsd_agree() -> None:
    """SMACT's counts of the ICSD of 2024 took no part in making the table."""
    oxidation = pytest.importorskip("smact.utils.oxidation")
    frame = oxidation.ICSD24OxStatesFilter().ox_states_df
    frame = frame[(frame.oxidation_state != 0) & frame.element.isin(oxidation_table("plausible"))]
    reports = {(row.element, row.oxidation_state): row.results_count for row in frame.itertuples()}
    everyday = {
        (symbol, state) for symbol, states in oxidation_table("plausible").items() for state in states
    }
    rare = {"Po", "At", "Fr"}
    assert all(reports[pair] >= 3 for pair in everyday if pair[0] not in rare)
    covered = sum(n for pair, n in reports.items() if pair in everyday) / sum(reports.values())
    assert covered > 0.98


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"base": "mine", "O": [-1]}, "'mine' does not exist; choose one of default, plausible"),
        ({"base": ["plausible"], "O": [-1]}, "does not exist"),
        ({"base": "plausible", "Xx": [1]}, "oxidation_table names Xx, no element from H to Pu"),
        ({"bass": "plausible"}, "oxidation_table names bass.*base: plausible"),
        ({"base": "plausible", "O": -1}, "oxidation_table.O is -1; give a list"),
        ({"base": "plausible", "O": "plausible"}, "oxidation_table.O is 'plausible'; give a list"),
        ({"base": "plausible", "O": [-0.5]}, "oxidation_table.O has the state -0.5"),
    ],
)
def test_tables_that_make_no_sense_are_refused(setting: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        OxidationTable.of(setting)


def test_an_element_without_everyday_states_is_named() -> None:
    with pytest.raises(
        ConfigError, match="no oxidation state of O in the table 'plausible' with other states of O"
    ):
        ChargeModel(("Na", "O"), {"base": "plausible", "O": []})


def test_a_base_alone_is_the_named_table() -> None:
    for name in ("plausible", "default"):
        alone, named = OxidationTable.of({"base": name}), OxidationTable.of(name)
        assert alone == named
