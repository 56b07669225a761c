"""The table of a pipeline: candidates that are one crystal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.spec_io import specs_to_frame
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.workflows.candidates.screening import Outcome
from gflownet_crystal.workflows.pipeline.table import Ended, candidates_table, repeated, same_as


def crystal(group: str, length: float, elements: list[str], points: list[list[float]]) -> Structure:
    return Structure.from_spacegroup(group, Lattice.cubic(length), elements, points)


SALT = crystal("Fm-3m", 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
SMALLER = crystal("Fm-3m", 5.5, ["Na", "Cl"], [[0.5, 0.5, 0.5], [0, 0, 0]]).get_primitive_structure()
OTHER = crystal("Pm-3m", 3.4, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
POTASSIUM = crystal("Fm-3m", 6.3, ["K", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_a_candidate_names_the_best_one_that_is_the_same_crystal() -> None:
    structures = [OTHER, SALT, POTASSIUM, SMALLER, SALT * (2, 1, 1), OTHER]
    found = same_as(from_pymatgen(structures))
    assert [None if rank is None else int(rank) for rank in found.astype(object).where(found.notna(), None)] == [
        None, None, None, 2, 2, 1,
    ]  # fmt: skip
    for place, rank in enumerate(found):
        better = [k + 1 for k in range(place) if StructureMatcher().fit(structures[k], structures[place])]
        assert better[:1] == ([] if found.isna()[place] else [rank])


def test_of_equal_crystals_the_relaxed_one_stays_else_the_first() -> None:
    structures = from_pymatgen([OTHER, SALT, POTASSIUM, SMALLER, SALT * (2, 1, 1), OTHER])
    moved = np.zeros(6, dtype=bool)
    everything = np.arange(6)
    assert sorted(repeated(Ended(structures, moved), everything)) == [3, 4, 5]
    moved[[3, 5]] = True
    assert sorted(repeated(Ended(structures, moved), everything)) == [0, 1, 4]
    # those that are none any more play no part
    assert repeated(Ended(structures, moved), np.array([0, 1, 2])) == []


def test_doubles_are_named_by_their_rank_in_the_table() -> None:
    crystals = [POTASSIUM, SALT, OTHER, crystal("Fm-3m", 5.5, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])]
    made = conventional_structures(from_pymatgen(crystals))
    frame = specs_to_frame(made.specs()).assign(e_above_hull=0.0)
    placed = pd.DataFrame({"row": range(4), "try": 0, "reason": ""}).assign(
        **dict.fromkeys(("formation_energy_per_atom", "formation_energy_std", "e_above_hull_judged"), 0.0),
        **{"contact": "", "contact_ratio": 1.0},
    )
    above = [0.2, 0.3, 0.4, 0.1]
    energies = pd.DataFrame(
        {"energy_before": above, "energy_after": np.nan, "e_above_hull_judged": above, "reason": ""}
    )
    ended = Ended(made, np.zeros(4, dtype=bool))
    outcome = Outcome(frame, placed, placed.iloc[:0].assign(status=""), made, [])
    nothing = KnownCompounds(torch.zeros(0, dtype=torch.int64))
    table = candidates_table(outcome, nothing, ended, {}, energies, 0.01).frame
    assert table["sample"].tolist() == [3, 0, 1, 2] and table["rank"].tolist() == [1, 2, 3, 4]
    assert table["same_as"].isna().tolist() == [True, True, False, True] and table["same_as"][2] == 1


def test_a_structure_that_cannot_be_compared_is_nobodys_double() -> None:
    flat = Structure(Lattice.orthorhombic(4.0, 4.0, 1e-7), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    found = same_as(from_pymatgen([SALT, flat, SALT, flat]))
    assert found.isna().tolist() == [True, True, False, True] and found[2] == 1
