"""Charges beside anions, against chemistry on record and a slow reading of the rule."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from pymatgen.core import Composition

from gflownet_crystal.crystallography.anion_charges import anion_charges, shown_charges, unusual_charges
from gflownet_crystal.crystallography.oxidation import OxidationTable
from gflownet_crystal.proxies.build_anion_charges import count_charges
from gflownet_crystal.structures.formulas import text_to_composition

ELEMENTS = ("Na", "Mn", "Co", "Cu", "H", "O", "Cl", "S", "As")


def are_unusual(formulas: list[str], fewest: int = 2) -> list[bool]:
    names = sorted({element.symbol for formula in formulas for element in Composition(formula)})
    counts = [[int(Composition(formula)[name]) for name in names] for formula in formulas]
    return unusual_charges(torch.tensor(counts), names, fewest).tolist()


def test_crystals_on_record_are_usual() -> None:
    # K2MnCl6, Cs2AuCl4-like mixed valence, sulphate, hydroxide, hydride, spinels, cuprate, alloy, phosphide
    formulas = [
        "K2MnCl6",
        "KCuF3",
        "Na2SO4",
        "NaOH",
        "Mg2FeH6",
        "Fe3O4",
        "MgAl2O4",
        "NaCuO2",
        "Mg2Ni",
        "GaP",
        "BiOCl",
    ]
    assert not any(are_unusual(formulas))


def test_charges_that_an_anion_does_not_bear_are_unusual() -> None:
    # Co 4+, Cu 3+ and Ni 4+ are known as fluorides and oxides, not as chlorides
    assert unusual_charges(torch.zeros(0, 0, dtype=torch.int64), [], 2).tolist() == []
    assert all(are_unusual(["NaCoCl5", "Na3CuCl6", "Li2NiCl6", "K2CoCl6"]))
    assert not any(are_unusual(["K2CoF6", "K3CuF6", "K2NiF6"]))


def test_the_rule_against_all_charges_one_by_one() -> None:
    table, generator = OxidationTable.of("plausible"), torch.Generator().manual_seed(3)
    counts = torch.randint(0, 5, (400, len(ELEMENTS)), generator=generator)
    counts *= torch.rand(counts.shape, generator=generator) < 0.45
    counts = counts[counts.sum(dim=1) > 0]

    def balances(row: dict[str, int], allowed: dict[str, tuple[int, ...]]) -> bool:
        limited = OxidationTable("", allowed, neighbouring=True)
        totals = [
            {sum(charges) for states in limited.together(name, True) for charges in product(states, repeat=n)}
            for name, n in row.items()
        ]
        return any(sum(charges) == 0 for charges in product(*totals))

    expected = []
    for row in counts.tolist():
        held = {name: n for name, n in zip(ELEMENTS, row, strict=True) if n}
        anions = [name for name in held if name in anion_charges()]
        plain = {name: table.of_element(name) for name in held}
        shown = shown_charges(list(held), anions, 2)
        expected.append(bool(anions) and balances(held, plain) and not balances(held, shown))
    assert unusual_charges(counts, ELEMENTS, 2).tolist() == expected
    assert 10 < sum(expected) < len(expected) - 10


def test_counted_are_formulas_of_one_anion_that_balance_in_one_way() -> None:
    # CoMnO3 balances in two ways, BiOCl has two anions, Fe3O4 two charges of iron, Mg2Ni none
    formulas = [
        "NaCl",
        "Na2O",
        "FeO",
        "Fe2O3",
        "MgFe2O4",
        "K2MnCl6",
        "CoMnO3",
        "BiOCl",
        "Fe3O4",
        "Mg2Ni",
        "Na2SO4",
    ]
    counts = count_charges(text_to_composition(formulas))
    assert {anion: rows for anion, rows in counts.items() if rows} == {
        "Cl": {"K": {1: 1}, "Mn": {4: 1}, "Na": {1: 1}},
        "O": {"Fe": {2: 1, 3: 2}, "Mg": {2: 1}, "Na": {1: 2}, "S": {6: 1}},
    }


@pytest.mark.parametrize(
    ("anion", "element", "charge"), [("O", "P", 5), ("F", "Al", 3), ("S", "Zn", 2), ("Cl", "K", 1)]
)
def test_the_usual_charge_leads_the_shipped_table(anion: str, element: str, charge: int) -> None:
    row = anion_charges()[anion][element]
    assert max(row, key=row.__getitem__) == charge
