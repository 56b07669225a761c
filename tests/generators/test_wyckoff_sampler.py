"""The sampler on Wyckoff positions: the spec's atoms, cell and operations, no atoms too close, its judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.assignments.drawing import draw_candidates
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import symmetry_error
from tests.generators.test_placement import random_specs
from tests.models.small_sites import SMALL


class _Denser(StructureEnergies):
    """Prefers a small moment of inertia about the origin, so that the winner can be told."""

    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        energy = torch.zeros(len(structures), dtype=torch.float64)
        rows = structures.structure_index
        positions = torch.einsum("ni,nij->nj", structures.fractional, structures.cell[rows])
        energy.index_add_(0, rows, positions.square().sum(1))
        return energy / structures.n_atoms, torch.zeros_like(energy)

    def calculator(self) -> Any:
        raise NotImplementedError


def sampler(**options: Any) -> WyckoffSampler:
    """One with new weights."""
    return WyckoffSampler(
        ranking=None, flow=ParameterFlow.new(SMALL, seed=1), **{"assignments": 4, "steps": 3, **options}
    )


def test_structures_have_the_atoms_the_cell_and_the_operations_of_their_spec() -> None:
    specs = random_specs(80, seed=0)
    found = sampler(tries=6).generate(specs)
    assert len(found.rows) >= 70
    assert found.rows.equal(found.rows.unique())
    wanted, got = specs[found.rows], found.structures.specs()
    assert got.composition.equal(wanted.composition)
    assert got.space_group.equal(wanted.space_group)
    torch.testing.assert_close(got.lengths, wanted.lengths, rtol=0, atol=1e-9)
    torch.testing.assert_close(got.angles, wanted.angles, rtol=0, atol=1e-9)
    assert symmetry_error(found.structures).max() < 1e-9
    assert shortest_distance_ratio(found.structures).min() >= 0.4
    for structure in to_pymatgen(found.structures)[:20]:
        distances = structure.distance_matrix + np.diag(np.full(len(structure), np.inf))
        assert distances.min() >= 0.5


def test_shortest_distances_are_those_of_pymatgen() -> None:
    specs = random_specs(30, seed=4)
    assigned = AssignedSpecs.of(specs, 4, 2, seed=0)
    drawn = draw_candidates(assigned, -assigned.place.double(), torch.arange(2))
    distance, ratio = assigned.pairs(drawn, orbit_tables(), 0.0).closest()
    structures = drawn.structures(assigned.cell, specs.space_group, orbit_tables())
    torch.testing.assert_close(ratio, shortest_distance_ratio(structures), rtol=1e-6, atol=1e-6)
    for row, structure in enumerate(to_pymatgen(structures)):
        between = structure.distance_matrix + np.diag(np.full(len(structure), np.inf))
        own = np.linalg.norm(structure.lattice.get_niggli_reduced_lattice().matrix, axis=1).min()
        assert float(distance[row]) == pytest.approx(min(between.min(), own), abs=1e-5)


def test_a_result_depends_on_spec_and_seed_alone() -> None:
    specs = random_specs(24, seed=2)
    builder = sampler(tries=3)
    together = builder.generate(specs, seed=5)
    cut = sampler(tries=3, atoms=60).generate(specs, seed=5)
    assert cut.rows.equal(together.rows)
    difference = cut.structures.fractional - together.structures.fractional
    assert float((difference - difference.round()).abs().max()) < 1e-4
    another = builder.generate(specs, seed=6)
    assert not another.structures.fractional.equal(together.structures.fractional)


def test_the_judge_chooses_among_the_tries() -> None:
    specs = random_specs(30, seed=3)
    judge = _Denser()
    best = sampler(tries=4, energies=judge, min_ratio=0.0, min_distance=0.0).generate(specs, seed=0)
    singles = [
        sampler(tries=1, min_ratio=0.0, min_distance=0.0).generate(specs, seed=seed) for seed in range(4)
    ]
    energies = torch.stack([judge.predict(to_primitive(one.structures))[0] for one in singles])
    assert all(one.rows.equal(best.rows) for one in singles)
    torch.testing.assert_close(
        judge.predict(to_primitive(best.structures))[0], energies.amin(0), rtol=1e-4, atol=1e-3
    )


def test_tries_end_with_the_first_that_has_enough_room() -> None:
    specs = random_specs(30, seed=5)
    options = {"min_ratio": 0.0, "min_distance": 0.0}
    singles = [sampler(tries=1, **options).generate(specs, seed).structures for seed in range(4)]
    ratios = torch.stack([shortest_distance_ratio(one) for one in singles], dim=1)
    enough = float(ratios[:, :2].median())
    wanted = []
    for row in ratios.tolist():
        last = next((number for number, ratio in enumerate(row) if ratio >= enough), 3)
        wanted.append(max(row[: last + 1]))
    assert wanted != ratios.amax(1).tolist()
    made = sampler(tries=4, enough=enough, **options).generate(specs)
    assert made.rows.tolist() == list(range(30))
    torch.testing.assert_close(shortest_distance_ratio(made.structures), torch.tensor(wanted).double())


def test_several_seeds_at_once_are_the_seeds_one_by_one() -> None:
    specs = random_specs(12, seed=6)
    builder = sampler(tries=1, atoms=200)
    for seed, made in zip([0, 3, 4], builder.generate_several(specs, [0, 3, 4]), strict=True):
        alone = builder.generate(specs, seed)
        assert made.rows.equal(alone.rows)
        difference = made.structures.fractional - alone.structures.fractional
        assert float((difference - difference.round()).abs().max()) < 1e-4
    assert [len(one.rows) for one in builder.generate_several(specs[:0], [0, 1])] == [0, 0]


def test_specs_that_cannot_be_placed_are_left_out() -> None:
    good = random_specs(1, seed=1)
    composition = torch.zeros(1, 119, dtype=torch.int64)
    composition[0, [3, 8, 9]] = 1
    cube = torch.full((1, 3), 4.0, dtype=torch.float64)
    right = torch.full((1, 3), 90.0, dtype=torch.float64)
    no_assignment = CrystalSpec(torch.tensor([221]), composition, cube, right)
    crowded = CrystalSpec(good.space_group, good.composition, good.lengths / 6, good.angles)
    builder = sampler(tries=8)
    assert builder.generate(CrystalSpec.cat([no_assignment, good, crowded])).rows.tolist() == [1]
    for nothing in (no_assignment, good[:0]):
        empty = builder.generate(nothing)
        assert len(empty.rows) == len(empty.structures) == 0


@pytest.mark.parametrize(
    "options", [{"tries": 0}, {"steps": 0}, {"min_ratio": -0.1}, {"velocity_scale": -1.0}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        sampler(**options)


def test_weights_that_do_not_exist_are_named() -> None:
    with pytest.raises(WeightsError, match="nothing"):
        WyckoffSampler(weights="nothing")


@pytest.mark.parametrize("seed", [0, 3])
def test_the_draws_that_it_chooses_from_can_be_had_one_by_one(seed: int) -> None:
    specs = random_specs(20, seed=4)
    chooser = sampler(tries=3, energies=_Denser(), min_distance=0.0, min_ratio=0.0)
    single, draws = chooser.single()
    assert draws == 3 and chooser.tries == 3
    chosen = chooser.generate(specs, seed)
    made = [single.generate(specs, 3 * seed + number) for number in range(draws)]
    assert all(part.rows.equal(chosen.rows) for part in made)
    energies = torch.stack([_Denser().predict(to_primitive(part.structures))[0] for part in made])
    assert (energies.amin(0) < energies.amax(0)).any()
    torch.testing.assert_close(_Denser().predict(to_primitive(chosen.structures))[0], energies.amin(0))
