"""Doped supercells against pymatgen: every arrangement compared to every other by its structure matcher."""

from __future__ import annotations

from itertools import combinations

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.workflows.predicting.doping import Dope, doped
from gflownet_crystal.workflows.predicting.starting_structures import Start

HALITE = Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
RUTILE = Structure.from_spacegroup(
    136, Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)


@pytest.mark.parametrize(
    ("crystal", "supercell", "own", "new", "count"),
    [
        (HALITE, [1, 1, 1], "Na", "K", 1),
        (HALITE, [2, 1, 1], "Na", "K", 2),
        (HALITE, [1, 1, 2], "Cl", "F", 3),
        (RUTILE, [1, 1, 2], "O", "F", 2),
    ],
)
def test_arrangements_are_those_that_a_matcher_tells_apart(
    crystal: Structure, supercell: list[int], own: str, new: str, count: int
) -> None:
    whole = crystal.copy() * supercell
    sites = [place for place, site in enumerate(whole) if site.specie.symbol == own]
    made = []
    for chosen in combinations(sites, count):
        one = whole.copy()
        for place in chosen:
            one.replace(place, new)
        made.append(one)
    groups = StructureMatcher(
        ltol=0.01, stol=0.01, angle_tol=0.1, scale=False, primitive_cell=False
    ).group_structures(made)
    found = doped(Start.of(from_pymatgen([crystal])), supercell, {own: {new: count}}, 100)
    expected = sorted(len(group) / len(made) for group in groups)
    assert sorted(found.probability.tolist()) == pytest.approx(expected)
    assert len(found.structures) == len(groups)
    replaced = made[0].composition.reduced_formula
    assert {one.composition.reduced_formula for one in to_pymatgen(found.structures)} == {replaced}


def test_no_more_variants_than_asked_for_those_of_most_arrangements_first() -> None:
    found = doped(Start.of(from_pymatgen([HALITE])), [2, 1, 1], {"Na": {"K": 2}}, 2)
    assert found.probability.tolist() == pytest.approx([16 / 28, 4 / 28])
    assert len(found.structures) == 2


@pytest.mark.parametrize(
    ("supercell", "dope", "says"),
    [
        ([2, 1], {"Na": {"K": 1}}, "three whole numbers"),
        ([0, 1, 1], {"Na": {"K": 1}}, "three whole numbers"),
        ([9, 9, 9], {"Na": {"K": 1}}, "more than 300"),
        ([1, 1, 1], {"K": {"Na": 1}}, "the crystal has no K; it has Na, Cl"),
        ([1, 1, 1], {"Na": {"Cl": 1}}, "does not have in place of Cl"),
        ([1, 1, 1], {"Na": {"Xx": 1}}, "does not have in place of Xx"),
        ([1, 1, 1], {"Na": {"K": 5}}, "of which there are 4"),
        ([2, 2, 2], {"Na": {"K": 8}}, "arrangements, more than 20000"),
    ],
)
def test_what_a_crystal_does_not_have_is_refused(supercell: list[int], dope: Dope, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        doped(Start.of(from_pymatgen([HALITE])), supercell, dope, 10)
