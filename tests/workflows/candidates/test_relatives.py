"""Nearest known relatives against an enumeration of all exchanges by pymatgen."""

from __future__ import annotations

import warnings

import pytest
import torch
from pymatgen.core import Composition, Element

from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.workflows.candidates.relatives import nearest_relatives

KNOWN = [
    ("KMnF3", 221),
    ("CsMnF3", 166),
    ("RbMgF3", 221),
    ("NaCl", 225),
    ("Ti2O3", 167),
    ("LiFePO4", 62),
    ("K2O", 225),
]
COMPOUNDS = KnownCompounds.of(
    text_to_composition([formula for formula, _ in KNOWN]), torch.tensor([group for _, group in KNOWN])
)


def by_enumeration(formula: str, group: int) -> str:
    known = {(Composition(name).reduced_formula): other for name, other in KNOWN}
    composition = Composition(formula)
    if composition.reduced_formula in known:
        return composition.reduced_formula
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for leaving in composition:
            for symbol in SYMBOLS[1:104]:
                entering = Element(symbol)
                if entering in composition:
                    continue
                name = composition.replace({str(leaving): symbol}).reduced_formula
                if name in known:
                    apart = abs(leaving.mendeleev_no - entering.mendeleev_no)
                    found.append(
                        (known[name] != group, apart, leaving.Z, entering.Z, name, str(leaving), symbol)
                    )
    if not found:
        return ""
    *_, name, old, new = min(found)
    return f"{name} ({old} for {new})"


@pytest.mark.parametrize(
    ("formula", "group"),
    [("RbMnF3", 221), ("RbMnF3", 166), ("Rb2 Mn2 F6", 1), ("NaBr", 225), ("V4O6", 167), ("LiMnPO4", 62), ("K2S", 225),
     ("KMnF3", 5), ("CuAu", 1), ("Li3N", 191)],
)  # fmt: skip
def test_relatives_are_those_of_an_enumeration(formula: str, group: int) -> None:
    (found,) = nearest_relatives(text_to_composition([formula]), torch.tensor([group]), COMPOUNDS)
    expected = by_enumeration(formula, group)
    assert (
        Composition(found.split()[0] if found else "X").reduced_formula
        == Composition(expected.split()[0] if expected else "X").reduced_formula
    )
    assert found.partition(" ")[2] == expected.partition(" ")[2]


def test_one_that_everybody_knows() -> None:
    composition = text_to_composition(["RbMnF3", "CuAu"])
    found = nearest_relatives(composition, torch.tensor([221, 1]), COMPOUNDS)
    assert found == ["KMnF3 (Rb for K)", ""]
