"""Quick placement: exactly the spec's atoms, cell and operations, distances by pymatgen, no word from the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions, wyckoff_table
from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.draws import joined, keys_of_compounds, uniform
from gflownet_crystal.generators.placement import WyckoffPlacement
from gflownet_crystal.generators.placing.orbit_spacing import OrbitPairs
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables, simplest_assignments
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.generators.test_placement import assert_fulfils, random_specs

LOOSE = QuickPlacement(assignments=6, tries=4, steps=8, min_ratio=0.3)


def test_structures_have_the_atoms_the_cell_and_the_operations_of_their_spec() -> None:
    specs = random_specs(150, seed=0)
    made = LOOSE.generate(specs)
    assert len(made.rows) >= 140
    assert_fulfils(made, specs, LOOSE.min_ratio)
    assert bool(((made.structures.fractional >= 0.0) & (made.structures.fractional < 1.0)).all())


def test_every_position_of_every_group_is_one_of_the_primitive_cell_times_the_centring() -> None:
    tables, source = orbit_tables(), wyckoff_table()
    group = torch.from_numpy(source.group.astype(np.int64))
    assert (tables.primitive_multiplicity * lattice_points(group)).equal(tables.multiplicity)
    # the first atom of a position is always kept, as distances are measured from it
    assert tables.primitive[tables.primitive_start].equal(tables.start)


def test_pairs_hold_the_shortest_distance_there_is() -> None:
    specs = random_specs(60, seed=4)
    tables = orbit_tables()
    assigned = AssignedSpecs.of(specs, 4, 4, seed=0)
    drawn = assigned.draw(2)
    zero = torch.zeros(len(drawn.spec), dtype=torch.float64)
    pairs = OrbitPairs.of(drawn, tables, assigned.lattices, zero, zero)
    found = pairs.smallest(pairs.distances(drawn.parameters))
    found = found.minimum(assigned.lattices.shortest[drawn.spec_of_candidate])
    orbit, points = drawn.atoms(tables)
    candidate = drawn.candidate[orbit]
    for row in range(0, len(found), 7):
        mine = candidate == row
        cell = assigned.cell[drawn.spec_of_candidate[row]].numpy()
        structure = Structure(cell, drawn.atomic_number[orbit[mine]].tolist(), points[mine].numpy())
        distances = structure.distance_matrix + np.diag(np.full(len(structure), np.inf))
        lattice = np.linalg.norm(structure.lattice.get_niggli_reduced_lattice().matrix, axis=1).min()
        assert float(found[row]) == pytest.approx(min(distances.min(), lattice), abs=1e-5)


def test_a_result_depends_on_spec_and_seed_alone() -> None:
    specs = random_specs(30, seed=2)
    builder = QuickPlacement(assignments=4, tries=4, steps=6, min_ratio=0.4)
    together = builder.generate(specs, seed=5)
    for place, row in enumerate(together.rows.tolist()):
        alone = builder.generate(specs[row : row + 1], seed=5)
        torch.testing.assert_close(
            alone.structures.fractional, together.structures[place : place + 1].fractional, rtol=0, atol=1e-9
        )
    order = torch.arange(len(specs) - 1, -1, -1).repeat(2)
    cut = QuickPlacement(assignments=4, tries=4, steps=6, min_ratio=0.4, atoms=40)
    for other in (builder.generate(specs[order], seed=5), cut.generate(specs[order], seed=5)):
        assert order[other.rows].sort().values.equal(together.rows.repeat_interleave(2))
        again = other.structures[order[other.rows].argsort(stable=True)[::2]]
        torch.testing.assert_close(again.fractional, together.structures.fractional, rtol=0, atol=1e-9)
    another = builder.generate(specs, seed=6)
    assert not another.structures.fractional.equal(together.structures.fractional)


def test_a_little_change_of_the_lattice_changes_the_atoms_little() -> None:
    specs = random_specs(80, seed=3)
    stretched = CrystalSpec(specs.space_group, specs.composition, specs.lengths * 1.0001, specs.angles)
    here, there = LOOSE.generate(specs), LOOSE.generate(stretched)
    both = torch.tensor(np.intersect1d(here.rows, there.rows))
    moved = []
    for row in both.tolist():
        pair = [made.structures[(made.rows == row).nonzero()[:, 0]].fractional for made in (here, there)]
        difference = pair[0] - pair[1]
        moved.append(float((difference - difference.round()).abs().max()))
    # now and then another draw becomes the roomiest
    assert np.mean(np.array(moved) < 0.05) > 0.9


@pytest.mark.parametrize(
    ("symbol", "cell", "species", "points"),
    [
        ("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        ("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
        ("Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0.5] * 3, [0, 0, 0], [0.5, 0, 0]]),
        ("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
        ("P6_3mc", Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]),
    ],
)
def test_known_crystals_are_found_again(
    symbol: str, cell: Lattice, species: list[str], points: list[list[float]]
) -> None:
    crystal = Structure.from_spacegroup(symbol, cell, species, points)
    made = QuickPlacement().generate(conventional_structures(from_pymatgen([crystal])).specs())
    assert len(made.rows) == 1
    assert to_pymatgen(made.structures)[0].matches(crystal, stol=0.5)


def test_pushing_apart_makes_room() -> None:
    specs = random_specs(60, seed=6)
    still, pushed = (
        QuickPlacement(assignments=4, tries=2, steps=steps, min_ratio=0.0).generate(specs)
        for steps in (0, 20)
    )
    assert still.rows.equal(pushed.rows)
    before, after = (shortest_distance_ratio(made.structures) for made in (still, pushed))
    assert float(after.mean()) > float(before.mean()) + 0.02


def test_specs_that_cannot_be_placed_are_left_out() -> None:
    good = random_specs(40, seed=1)
    row = QuickPlacement().generate(good).rows[:1]
    composition = torch.zeros(1, 119, dtype=torch.int64)
    composition[0, [3, 8, 9]] = 1
    cube = torch.full((1, 3), 4.0, dtype=torch.float64)
    right = torch.full((1, 3), 90.0, dtype=torch.float64)
    no_assignment = CrystalSpec(torch.tensor([221]), composition, cube, right)
    no_atoms = CrystalSpec(torch.tensor([221]), torch.zeros_like(composition), cube, right)
    open_cell = CrystalSpec(
        torch.tensor([1]), composition, cube, torch.tensor([[20.0, 20.0, 170.0]]).double()
    )
    one = composition.clone().fill_(0)
    one[0, 26] = 1
    one_atom = CrystalSpec(torch.tensor([221]), one, cube / 1.4, right)
    crowded = CrystalSpec(
        good[row].space_group, good[row].composition, good[row].lengths / 4, good[row].angles
    )
    made = QuickPlacement().generate(
        CrystalSpec.cat([no_assignment, good[row], crowded, no_atoms, open_cell, one_atom])
    )
    assert made.rows.tolist() == [1, 5]
    for spec in (no_assignment, good[:0]):
        empty = QuickPlacement().generate(spec)
        assert len(empty.rows) == len(empty.structures) == 0


def test_the_simplest_assignments_are_those_of_the_thorough_search() -> None:
    thorough = WyckoffPlacement(max_assignments=4)
    for group, counts in ((225, (4, 4, 8)), (62, (4, 8, 12)), (14, (4, 4)), (2, (2, 3))):
        found = simplest_assignments(group, counts, 80, 4)
        wanted = thorough._assignments(group, list(counts))
        assert found is not None and found.n_orbits.tolist() == [sum(map(len, one)) for one in wanted]
        flat = [index for one in wanted for own in one for index in own]
        table = wyckoff_table()
        letters = [wyckoff_positions(group)[index].letter for index in flat]
        assert table.letter[found.position].tolist() == letters
        assert set(table.group[found.position].tolist()) == {group}


def test_draws_are_even_and_their_own() -> None:
    keys = joined(torch.arange(400)[:, None], torch.arange(500))
    assert len(keys.unique()) == keys.numel()
    draws = uniform(keys).flatten()
    assert float(draws.min()) >= 0.0 and float(draws.max()) < 1.0
    shares = torch.histc(draws, 50, 0.0, 1.0) / len(draws)
    assert float((shares - 0.02).abs().max()) < 0.001
    correlation = np.corrcoef(uniform(keys)[:, :-1].flatten(), uniform(keys)[:, 1:].flatten())[0, 1]
    assert abs(correlation) < 0.01
    specs = random_specs(50, seed=7)
    compounds = keys_of_compounds(specs.space_group, specs.composition, 0)
    assert len(torch.unique(torch.cat([specs.space_group[:, None], specs.composition], 1), dim=0)) == len(
        compounds.unique()
    )
    assert not compounds.equal(keys_of_compounds(specs.space_group, specs.composition, 1))


@pytest.mark.parametrize(
    "options", [{"tries": 0}, {"keep": -1}, {"min_ratio": -0.1}, {"steps": -1}, {"atoms": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        QuickPlacement(**options)
