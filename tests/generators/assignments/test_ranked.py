"""Ranked assignments: right counts, no equivalents, the same in any batch, kept when stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.core import Structure

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.normalizer import canonical_assignment
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.generators.assignments.ranked import RankedAssignments, RankedSpecs
from gflownet_crystal.generators.assignments.table import AssignmentTable, assignments_of, keys_of
from gflownet_crystal.generators.placing.orbit_tables import first_position, orbit_tables
from gflownet_crystal.generators.wyckoff_assignments import WyckoffAssignments
from gflownet_crystal.models.sites.assignment_ranker import AssignmentRanker
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.structures.conftest import CRYSTALS


@pytest.fixture(scope="module")
def known() -> StructureBatch:
    structures = [Structure.from_spacegroup(*crystal) for crystal in CRYSTALS.values()]
    return conventional_structures(from_pymatgen(structures))


def ranked(known: StructureBatch, listed: int = 50) -> RankedAssignments:
    """A ranker that was not trained, with a table of every second crystal."""
    keys, elements = keys_of(known.space_group, known.composition)
    truth = assignments_of(keys, elements, occupied_positions(known))
    torch.manual_seed(1)
    ranker = AssignmentRanker(width=16, embedding=4)
    return RankedAssignments(AssignmentTable.of(keys[::2], truth[::2]), ranker, listed)


def forms(found: RankedSpecs, specs: CrystalSpec) -> list[list[tuple[tuple[int, ...], ...]]]:
    """Assignments of each spec, by atomic number, canonical."""
    assigned = found.assigned
    own: list[list[tuple[tuple[int, ...], ...]]] = [[] for _ in range(len(specs))]
    for row, spec in enumerate(assigned.spec.tolist()):
        orbits = assigned.orbits.candidate == row
        group = int(specs.space_group[spec])
        numbers = assigned.orbits.atomic_number[orbits]
        positions = assigned.orbits.position[orbits] - first_position(group)
        one = [tuple(sorted(positions[numbers == n].tolist())) for n in numbers.unique().tolist()]
        own[spec].append(canonical_assignment(group, one))
    return own


def test_counts_are_exact_and_equivalents_are_not_repeated(known: StructureBatch) -> None:
    specs = known.specs()
    found = ranked(known).best(specs, 10)
    orbits, tables = found.assigned.orbits, orbit_tables()
    held = torch.zeros(len(found.log_probability), 119, dtype=torch.int64)
    held.index_put_(
        (orbits.candidate, orbits.atomic_number), tables.multiplicity[orbits.position], accumulate=True
    )
    assert torch.equal(held, specs.composition[found.assigned.spec])
    group = torch.from_numpy(wyckoff_table().group.astype(np.int64))[orbits.position]
    assert torch.equal(group, specs.space_group[orbits.spec])
    for own in forms(found, specs):
        assert 1 <= len(own) == len(set(own)) <= 10


def test_all_are_there_where_they_are_few_and_probabilities_fall(known: StructureBatch) -> None:
    specs = known.specs()
    found = ranked(known, 300).best(specs, 300)
    keys, _ = keys_of(specs.space_group, specs.composition)
    for row, (key, own) in enumerate(zip(keys, forms(found, specs), strict=True)):
        chosen = found.assigned.spec == row
        log_probability = found.log_probability[chosen]
        assert (log_probability.diff() <= 1e-8).all()
        assert found.assigned.place[chosen].tolist() == list(range(len(own)))
        if WyckoffAssignments(*key).total <= 300:
            numbers = specs.composition[row].nonzero()[:, 0].tolist()
            counts = [int(specs.composition[row, n]) for n in numbers]
            exact = {canonical_assignment(key[0], one) for one in WyckoffAssignments(key[0], counts)}
            assert set(own) == exact
            assert torch.isclose(log_probability.exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_a_spec_is_ranked_equally_in_any_batch(known: StructureBatch) -> None:
    specs, ranker = known.specs(), ranked(known)
    together = forms(ranker.best(specs, 20), specs)
    order = torch.arange(len(specs)).flip(0)
    assert forms(ranker.best(specs[order], 20), specs[order]) == together[::-1]
    for row in range(len(specs)):
        alone = specs[row : row + 1]
        assert forms(ranker.best(alone, 20), alone) == [together[row]]


def test_it_can_be_used_like_the_simplest_assignments(known: StructureBatch) -> None:
    specs = known.specs()
    assigned = ranked(known).best(specs, 3, seed=5).assigned
    drawn = assigned.draw(4)
    orbit, points = drawn.atoms(orbit_tables())
    atoms = torch.zeros(len(drawn.n_orbits), dtype=torch.int64).index_add_(
        0, drawn.candidate[orbit], torch.ones(len(orbit), dtype=torch.int64)
    )
    assert torch.equal(atoms, specs.n_atoms[drawn.spec_of_candidate])
    assert ((points >= 0) & (points < 1)).all()
    freedom = torch.from_numpy(wyckoff_table().degrees_of_freedom.astype(np.int64))
    free = torch.zeros(len(assigned.spec), dtype=torch.int64)
    free.index_add_(0, assigned.orbits.candidate, freedom[assigned.orbits.position])
    assert torch.equal(assigned.is_free, free > 0)


def test_specs_that_do_not_fit_are_left_out(known: StructureBatch) -> None:
    specs = known.specs()
    composition = specs.composition.clone()
    # rock salt with three anions in the cell: no orbit has less than four
    composition[0, 17] = 3
    found = ranked(known).best(CrystalSpec(specs.space_group, composition, specs.lengths, specs.angles), 5)
    assert 0 not in found.assigned.spec
    assert set(found.assigned.spec.tolist()) == set(range(1, len(specs)))


def test_stored_rankers_rank_equally(known: StructureBatch, tmp_path: Path) -> None:
    specs, ranker = known.specs(), ranked(known)
    for value in ranker.ranker.parameters():
        value.data = value.data.half().double()
    path = tmp_path / "ranker.safetensors"
    ranker.save(path, {"settings": {"width": 16, "embedding": 4}})
    again = RankedAssignments.load(path, 50)
    assert forms(again.best(specs, 20), specs) == forms(ranker.best(specs, 20), specs)


def test_at_least_one_must_be_listed(known: StructureBatch) -> None:
    with pytest.raises(ConfigError, match="listed=0"):
        ranked(known, 0)
