"""Prototypes of a formula: weights by brute force, crystals back from templates, and what a file keeps."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.generators.prototypes.known import POWER, KnownPrototypes
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.generators.build_prototypes import build, shares_found

PLACES = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
SALTS = ("NaCl", "KCl", "KBr", "LiF", "NaBr", "MgO", "CaO", "RbI")
CESIUMS = ("CsCl", "CsBr", "CsI", "TlCl")


def pair(formula: str, group: int, edge: float, places: list[list[float]] = PLACES) -> Structure:
    symbols = [
        str(element) for element in Structure(Lattice.cubic(1), list(_symbols(formula)), places).species
    ]
    return Structure.from_spacegroup(group, Lattice.cubic(edge), symbols, places)


def _symbols(formula: str) -> tuple[str, str]:
    cut = next(place for place in range(1, len(formula)) if formula[place].isupper())
    return formula[:cut], formula[cut:]


def rutile(cation: str, u: float, ratio: float) -> Structure:
    cell = Lattice.tetragonal(4.6, 4.6 * ratio)
    return Structure.from_spacegroup(136, cell, [cation, "O"], [[0, 0, 0], [u, u, 0]])


def crystals() -> list[Structure]:
    blendes = [pair(f, 216, 5.4, [[0, 0, 0], [0.25, 0.25, 0.25]]) for f in ("ZnS", "GaAs", "ZnSe")]
    rutiles = [rutile("Ti", 0.305, 0.64), rutile("Sn", 0.307, 0.67), rutile("Mn", 0.305, 1.3)]
    salts = [pair(f, 225, 5.6) for f in SALTS] + [pair(f, 221, 4.1) for f in CESIUMS]
    return salts + blendes + rutiles


@pytest.fixture(scope="module")
def found() -> OccupiedSpecs:
    return OccupiedSpecs.of(from_pymatgen(crystals()))[0]


@pytest.fixture(scope="module")
def known(found: OccupiedSpecs) -> KnownPrototypes:
    return build(found)


def structures(known: KnownPrototypes, formula: str) -> tuple[StructureBatch, list[float]]:
    made = known.of_formula(text_to_composition([formula])[0])
    volume = reference_volume(made.composition)
    return known.templates.structures(made.template, made.elements, volume), made.weight.tolist()


def test_weights_are_sums_over_the_known_crystals(known: KnownPrototypes) -> None:
    made = known.of_formula(text_to_composition(["KI"])[0])
    likeness, by_group = known.likeness, dict.fromkeys((225, 221, 216), 0.0)
    # zinc blende and the two cubic salts stay themselves where their elements change places
    formulas = {225: SALTS, 221: CESIUMS, 216: ("ZnS", "GaAs", "ZnSe")}
    for group, members in formulas.items():
        for member in members:
            own = [ATOMIC_NUMBERS[symbol] for symbol in _symbols(member)]
            for asked in permutations([ATOMIC_NUMBERS["K"], ATOMIC_NUMBERS["I"]]):
                by_group[group] += float(
                    np.exp(POWER * sum(likeness[a, b] for a, b in zip(asked, own, strict=True)))
                )
    total = sum(by_group.values())
    weights = dict(zip(made.space_group.tolist(), made.weight.tolist(), strict=True))
    assert weights == pytest.approx({group: weight / total for group, weight in by_group.items()})
    assert made.space_group[0] == 225


def test_likeness_is_of_elements_that_share_slots(known: KnownPrototypes) -> None:
    likeness = {
        name: known.likeness[ATOMIC_NUMBERS["K"], ATOMIC_NUMBERS[name]] for name in ("Na", "Zn", "Br")
    }
    assert likeness["Na"] > 0.0 > likeness["Zn"] and likeness["Na"] > likeness["Br"]


def test_structures_of_known_formulas_are_the_crystals(known: KnownPrototypes) -> None:
    matcher = StructureMatcher()
    for crystal in crystals():
        made, _ = structures(known, crystal.composition.reduced_formula)
        assert any(matcher.fit(crystal, one) for one in to_pymatgen(made))
    made, weights = structures(known, "TiO2")
    assert len(made) == 1 and weights == [1.0]
    # the template of the nearest crystal, not the one stretched twofold
    assert float(made.cell[0, 2].norm() / made.cell[0, 0].norm()) == pytest.approx(0.64, rel=0.05)


def test_templates_are_as_few_as_the_shapes(known: KnownPrototypes, found: OccupiedSpecs) -> None:
    assert int(known.prototype.max()) + 1 == 4
    # two equal rutiles, and the one stretched twofold
    assert int((known.templates.space_group == 136).sum()) == 2
    assert len(known.elements) == len(found)
    assert shares_found(known, found)["any"] == 1.0


def test_a_file_keeps_all_but_the_last_digits(known: KnownPrototypes, tmp_path: Path) -> None:
    known.save(tmp_path / "own.safetensors", {})
    again = KnownPrototypes.load(tmp_path / "own.safetensors")
    for name in ("prototype", "template", "elements"):
        assert torch.equal(getattr(known, name), getattr(again, name))
    torch.testing.assert_close(known.templates.lattice, again.templates.lattice, rtol=1e-3, atol=0.0)
    own, stored = known.templates.orbits, again.templates.orbits
    assert torch.equal(own.position, stored.position)
    difference = (own.parameters - stored.parameters).abs()
    assert float(torch.minimum(difference, 1.0 - difference).max()) <= 0.5 / 240 + 1e-9


def test_a_formula_of_unknown_counts_has_no_prototypes(known: KnownPrototypes) -> None:
    assert len(known.of_formula(text_to_composition(["K7I3"])[0])) == 0


def test_shipped_prototypes_know_the_textbooks() -> None:
    shipped = KnownPrototypes.load()
    for formula, group in (("NaCl", 225), ("SrTiO3", 221), ("MgAl2O4", 227), ("LiFePO4", 62)):
        made = shipped.of_formula(text_to_composition([formula])[0])
        assert group in made.space_group[:3].tolist()
        assert float(made.weight.sum()) == pytest.approx(1.0, abs=0.01)
