"""Novelty of candidates: formulas, prototypes and substitutions, by enumeration over small sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.report.newness import newness, one_element_away
from gflownet_crystal.report.population import Population
from gflownet_crystal.structures.formulas import text_to_composition


def population(*crystals: tuple[str, int]) -> Population:
    formulas, groups = zip(*crystals, strict=True)
    n = len(crystals)
    frame = pd.DataFrame({"formula": formulas, "space_group": groups, "volume_per_atom": np.ones(n)})
    composition = text_to_composition(list(formulas)).numpy()
    return Population("candidates", "", frame, composition)


def test_one_element_away_is_found_by_brute_force() -> None:
    texts = ["Na1 Cl1", "Na2 O1", "K1 Cl1", "Li1 Fe1 O2", "Na1 Fe1 O2", "Li1 Co1 S2", "Mg3 N2", "Na1 O1"]
    every = text_to_composition(texts)
    for row, counts in enumerate(every):
        others = torch.cat([every[:row], every[row + 1 :]])
        known = KnownCompounds.of(others, torch.zeros(len(others), dtype=torch.int64))
        expected = False
        for other in others:
            differs = (other != counts).nonzero()[:, 0].tolist()
            # one element went, another one came, in the same number
            swapped = len(differs) == 2 and sorted(other[differs].tolist()) == sorted(
                counts[differs].tolist()
            )
            expected |= swapped and 0 in other[differs].tolist() and 0 in counts[differs].tolist()
        assert one_element_away(counts, known) == expected, texts[row]


def test_formulas_prototypes_and_substitutions_of_a_reference() -> None:
    known = population(("Na1 Cl1", 225), ("Xe3 Ac2 Os7", 12))
    made = population(
        ("Na4 Cl4", 225),  # known
        ("Xe6 Ac4 Ir14", 12),  # osmium replaced, the same pattern and group
        ("Ac3 Xe2 Rn7", 12),  # another distribution of the elements, the same pattern
        ("Xe3 Ac2 Os7", 14),  # known, in another group
        ("Xe5 Ac2 Os11", 12),
    )
    found = newness(made, known)
    assert [one.formula for one in found] == [True, False, False, True, False]
    assert [one.prototype for one in found] == [True, True, True, False, False]
    assert [one.substitution for one in found[1:]] == [True, False, False, False]
    assert (
        found[1].text
        == "new formula; known prototype (formula pattern and group); one element away from a known formula"
    )
    assert found[4].text == "new formula; new prototype; no known formula one element away"


def test_without_a_reference_formulas_are_those_of_the_shipped_compounds() -> None:
    made = population(("Na1 Cl1", 225), ("Xe5 Ac2 Os11", 12))
    first, second = newness(made, None)
    assert (first.formula, first.prototype, first.text) == (True, None, "known formula")
    assert (second.formula, second.prototype) == (False, None)


def test_what_the_table_says_of_a_formula_counts() -> None:
    made = population(("Xe5 Ac2 Os11", 12), ("Xe5 Ac2 Os11", 12), ("Xe5 Ac2 Os11", 12))
    assert [one.formula for one in newness(made, None, [True, "True", False])] == [True, True, False]
