"""The nearest known crystal of a candidate: by its spec as a double loop has it, by its atoms as pymatgen does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition

from gflownet_crystal.common.run_summary import RunSummary
from gflownet_crystal.evaluation.parallel import Crystal, to_crystals
from gflownet_crystal.report import known as known_module
from gflownet_crystal.report.cards import make_cards
from gflownet_crystal.report.drawings import Studio
from gflownet_crystal.report.findings import candidate_findings
from gflownet_crystal.report.known import nearest_known
from gflownet_crystal.report.page import Material, make_page
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles
from gflownet_crystal.structures.convert import from_ase, to_pymatgen
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.workflows.evaluating.report_sets import known_crystals
from tests.report.runs import CRYSTALS, candidate_frame, sample_frame, write_candidates


def swapped(a: str, b: str) -> float:
    """Share of atoms that two compositions do not have in common."""
    one, two = (Composition(text.replace(" ", "")).fractional_composition for text in (a, b))
    return 1 - sum(min(one[element], two[element]) for element in one)


def test_the_nearest_known_crystal_is_that_of_a_double_loop():
    candidates = Population.of("candidates", "", candidate_frame())
    known = sample_frame(80, seed=5)
    generator = np.random.default_rng(0)
    known["formula"] = generator.choice(["Na4 Br4", "Mg4 O4", "Zn4 S2 Se2", "Ca4 F8", "Ca1 O1", "K1 Cl1"], 80)
    known["space_group"] = generator.choice([225, 216, 221, 1], 80)
    known["volume_per_atom"] = generator.uniform(5, 40, 80)
    known.loc[:5, "volume_per_atom"] = np.nan
    found = nearest_known(candidates, Population.of("reference", "", known))
    assert found["rms"].isna().all() and (found["n_compared"] == 0).all()
    for (_, mine), (_, match) in zip(candidates.frame.iterrows(), found.iterrows(), strict=True):
        keys = [
            (
                round(swapped(mine["formula"], other["formula"]), 9),
                other["space_group"] != mine["space_group"],
                abs(np.log(other["volume_per_atom"] / mine["volume_per_atom"])),
            )
            for _, other in known.iterrows()
        ]
        keys = [(*key[:2], np.inf if np.isnan(key[2]) else key[2]) for key in keys]
        best = min(keys)
        assert keys[int(match["row"])] == pytest.approx(best)
        assert match["distance"] == pytest.approx(best[0], abs=1e-9)
        assert match["same_group"] == (not best[1])


def nothing_but(folder: Path, candidates: pd.DataFrame | None = None) -> RunFiles:
    """A run that has candidates at most."""
    return RunFiles(folder, {"env": {}}, RunSummary(), [], None, candidates, folder, None, "")


def polymorphs() -> list[Atoms]:
    """Known crystals: another structure of each of three candidates, copies of these, and an oxide that none is."""
    # of four atoms in the primitive cell, which no crystal of two can match
    lengths = {"NaCl": (4.3, 7.0), "MgO": (3.3, 5.1), "ZnS": (3.8, 6.3)}
    others = [bulk(name, "wurtzite", a, c=c) for name, (a, c) in lengths.items()]
    copies = [crystal * (1, 1, 2) for crystal in CRYSTALS[:2]]
    for seed, copy in enumerate(copies):
        copy.rattle(0.05, seed=seed)
        copy.set_cell(1.04 * copy.cell, scale_atoms=True)
    return [*others, *copies, bulk("CaO", "rocksalt", 4.8)]


@pytest.fixture
def reference(tmp_path: Path) -> Population:
    """These crystals, from a file, with specs that speak for the wrong ones: their atoms have to decide."""
    frame = structures_to_frame(from_ase(polymorphs()))
    frame["material_id"] = [f"known-{row}" for row in range(len(frame))]
    frame.to_parquet(tmp_path / "known.parquet")
    known = known_crystals(tmp_path / "known.parquet", nothing_but(tmp_path))
    claimed = candidate_frame(3)
    table = known.frame.copy()
    for column in ("space_group", "volume_per_atom"):
        table.loc[:2, column] = claimed[column].to_numpy()
    return replace(known, frame=table)


@pytest.fixture
def candidates() -> tuple[Population, list[Crystal]]:
    frame = candidate_frame()
    return Population.of("candidates", "", frame), to_crystals(from_ase(list(CRYSTALS)))


def test_a_perturbed_copy_is_found_by_its_atoms(reference: Population, candidates):
    population, crystals = candidates
    found = nearest_known(population, reference, crystals)
    matcher = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)
    mine, theirs = to_pymatgen(from_ase(list(CRYSTALS))), to_pymatgen(from_ase(polymorphs()))
    for row, structure in enumerate(mine):
        distances = [matcher.get_rms_dist(structure, other) for other in theirs]
        matched = {index: pair[0] for index, pair in enumerate(distances) if pair is not None}
        if matched:
            best = min(matched, key=lambda index: matched[index])
            assert found["row"][row] == best and found["rms"][row] == pytest.approx(matched[best])
        else:
            assert np.isnan(found["rms"][row])
    # the two that have a copy, and no others; the third has a formula that is known in another structure
    assert found["rms"].notna().tolist() == [True, True, False, False, False, False]
    assert found["row"].tolist()[:3] == [3, 4, 2] and found["n_compared"].tolist() == [2, 2, 1, 0, 0, 0]
    by_spec = nearest_known(population, reference)
    assert by_spec["row"].tolist()[:3] == [0, 1, 2] and (by_spec["n_compared"] == 0).all()
    columns = ["row", "distance", "same_group"]
    pd.testing.assert_frame_equal(found[columns][2:], by_spec[columns][2:])


def test_atoms_are_compared_to_the_nearest_of_a_formula_only(reference, candidates, monkeypatch):
    population, crystals = candidates
    monkeypatch.setattr(known_module, "MOST_COMPARED", 1)
    found = nearest_known(population, reference, crystals)
    assert found["n_compared"].tolist() == [1, 1, 1, 0, 0, 0] and found["rms"].isna().all()
    nothing = nearest_known(population, reference, [None, *crystals[1:]])
    assert nothing["n_compared"].tolist() == [0, 1, 1, 0, 0, 0]


def test_the_card_says_which_way_it_was(reference: Population, tmp_path: Path):
    frame = write_candidates(tmp_path)
    run = nothing_but(tmp_path, frame)
    population = Population.of("candidates", "", frame)
    cards = make_cards(run, population, reference)
    text = make_page(Material(run, candidates=population, known=reference), Studio(tmp_path)).text
    rms = cards[0].known.rms
    assert f"same structure by its atoms, RMSE {rms:.3f} (V/atom)<sup>1/3</sup>" in text
    assert "its atoms match none of 1 with this formula" in text
    assert text.count("structure is known") == 2 and text.count("formula is known") == 1
    (novelty,) = [one for one in candidate_findings(cards, run, 6) if one.title == "Novelty"]
    assert "Of 3 whose atoms could be compared, 2 match a known structure." in novelty.text
    bare = replace(
        reference, frame=reference.frame.drop(columns=["frac_coords", "atomic_numbers", "lattice"])
    )
    other = make_page(Material(run, candidates=population, known=bare), Studio(tmp_path)).text
    assert other.count("same formula and group, by volume: atoms not compared") == 3


def test_a_relaxed_candidate_has_the_group_of_its_atoms(reference: Population, tmp_path: Path):
    frame = write_candidates(tmp_path)
    asked = frame.assign(space_group=1, space_group_after=frame["space_group"].where(frame["rank"] == 1))
    cards = make_cards(nothing_but(tmp_path, asked), Population.of("candidates", "", asked), reference)
    # both are known by their atoms, in another group than the first has; which the second has nobody said
    assert [card.known.same_group for card in cards[:2]] == [
        reference.frame["space_group"][3] == frame["space_group"][0],
        reference.frame["space_group"][4] == 1,
    ]
    assert [card.space_group for card in cards] == [1] * len(frame)
