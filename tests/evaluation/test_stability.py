"""Hull distances against pymatgen's PhaseDiagram, and shares counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.evaluation.space_group_agreement import space_group_agreement
from gflownet_crystal.evaluation.stability import energy_above_hull, stability, unique_and_novel
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition
from tests.evaluation.crystals import rattled, some_crystals


def test_distances_to_the_hull_are_pymatgens():
    generator = np.random.default_rng(0)
    elements = ("Li", "Fe", "P", "O")
    counts = generator.integers(0, 4, (60, 4))
    counts = counts[(counts > 0).sum(1) > 1]
    formulas = [" ".join(f"{e}{n}" for e, n in zip(elements, row, strict=True) if n) for row in counts]
    energies = -2.0 * generator.random(len(formulas))
    entries = [PDEntry(Composition(e), 0.0) for e in elements]
    entries += [
        PDEntry(Composition(f), float(x) * Composition(f).num_atoms)
        for f, x in zip(formulas, energies, strict=True)
    ]
    diagram = PhaseDiagram(entries)
    asked = ["Li1 Fe1 P1 O4", "Li3 P1", "Fe2 O3", "Li1", "Li2 Fe1 O2"]
    energy = torch.tensor([-1.5, -0.2, -3.0, 0.04, torch.nan], dtype=torch.float64)
    hull = ReferenceHull(text_to_composition(formulas), torch.from_numpy(energies))
    found = energy_above_hull(text_to_composition(asked), energy, hull)
    expected = [
        float(x) - diagram.get_hull_energy_per_atom(Composition(f))
        for f, x in zip(asked, energy, strict=True)
    ]
    assert found[:4].tolist() == pytest.approx(expected[:4], abs=1e-8)
    assert found[4].isnan() and found[2] < 0.0


def test_too_many_elements_for_a_hull_are_a_failure_and_no_error():
    hull = ReferenceHull(text_to_composition(["Li2 O1"]), torch.tensor([-2.0]))
    many = text_to_composition(["Li1 Na1 K1 Rb1 Cs1 Mg1 Ca1 Sr1 Ba1", "Li2 O1"])
    found = energy_above_hull(many, torch.tensor([-1.0, -1.9]).double(), hull)
    assert found[0].isnan() and float(found[1]) == pytest.approx(0.1)


def test_shares_count_failures_among_all():
    above = torch.tensor([-0.1, 0.05, 0.1, 0.3, torch.nan], dtype=torch.float64)
    unique = torch.tensor([True, False, True, True, True])
    novel = torch.tensor([False, True, True, True, True])
    found = stability(above, unique, novel, n=10)
    assert (found.n, found.n_failed) == (10, 6)
    assert (found.stable, found.on_hull, found.sun) == (0.3, 0.1, 0.1)
    assert (found.unique, found.novel) == (0.3, 0.3)
    assert found.median_e_above_hull == pytest.approx(0.075)
    lost = stability(above[4:], unique[4:], novel[4:])
    assert lost.sun == 0.0 and lost.n_failed == 1 and math.isnan(lost.median_e_above_hull)
    with pytest.raises(DataError, match="how many there were"):
        stability(above, unique, novel, n=3)


def test_the_most_stable_of_equal_crystals_is_the_unique_one():
    crystals = some_crystals()[torch.tensor([0, 1, 0])]
    above = torch.tensor([0.4, 0.2, 0.1]).double()
    unique, novel = unique_and_novel(crystals, above, rattled(crystals[1:2], 0.05), Tolerances(), Work())
    assert unique.tolist() == [False, True, True]
    assert novel.tolist() == [True, False, True]


def test_groups_as_asked_for_and_as_often_as_in_the_reference():
    found = torch.tensor([225, 225, 1, 0, 62])
    claimed = torch.tensor([225, 221, 0, 0, 62])
    same = space_group_agreement(found, claimed, found)
    assert (same.n_claimed, same.agreement) == (3, pytest.approx(2 / 3))
    assert (same.p1, same.not_found, same.n_groups, same.distance) == (0.2, 0.2, 3, 0.0)
    other = space_group_agreement(found, 0 * claimed, torch.tensor([2, 2, 225, 225, 225]))
    assert math.isnan(other.agreement)
    # frequencies 2/5 and 3/5 of group 225 alone overlap
    assert other.distance == pytest.approx(0.6)
    with pytest.raises(DataError, match="at least one"):
        space_group_agreement(found, claimed, found[:0])
