"""Placed atoms: exactly the spec's atoms, cell and group by moyo and spglib, known crystals found again."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.generators.base import Generation
from gflownet_crystal.generators.placement import WyckoffPlacement
from gflownet_crystal.generators.placing.candidates import AssignedOrbits, Spacing, contact_distances
from gflownet_crystal.structures.convert import from_pymatgen, iterate_arrays, to_pymatgen
from gflownet_crystal.structures.distances import PeriodicLattice, shortest_distance_ratio
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures, find_space_groups, symmetry_error


def random_specs(n: int, seed: int) -> CrystalSpec:
    """Specs with a witness: random positions of random groups, up to 24 atoms, 25 Å^3 an atom."""
    generator = np.random.default_rng(seed)
    groups, compositions = [], np.zeros((n, 119), dtype=np.int64)
    while len(groups) < n:
        group = int(generator.integers(1, 231))
        positions = [position for position in wyckoff_positions(group) if position.multiplicity <= 12]
        used = generator.permutation(len(positions))[: generator.integers(1, 4)]
        if len(used) == 0:
            continue
        for index, element in zip(
            used, generator.permutation([3, 8, 9, 14, 16, 22, 26, 38, 56]), strict=False
        ):
            compositions[len(groups), element] = positions[index].multiplicity
        groups.append(group)
    space_group = torch.tensor(groups)
    shape = torch.from_numpy(generator.uniform([0.8] * 3 + [75] * 3, [1.25] * 3 + [105] * 3, size=(n, 6)))
    system = torch.from_numpy(lattice_system_of_group[groups])
    parameters = lattice.complete_parameters(system, shape)
    wanted = 25.0 * torch.from_numpy(compositions).sum(1)
    scale = (wanted / lattice.volume(parameters[:, :3], parameters[:, 3:])) ** (1 / 3)
    return CrystalSpec(
        space_group, torch.from_numpy(compositions), parameters[:, :3] * scale[:, None], parameters[:, 3:]
    )


def assert_fulfils(made: Generation, specs: CrystalSpec, min_ratio: float) -> None:
    """Atoms, cell and operations are those of the specs, and no atoms are nearer than asked for."""
    assert made.rows.equal(made.rows.unique())
    wanted, got = specs[made.rows], made.structures.specs()
    assert got.composition.equal(wanted.composition)
    assert got.space_group.equal(wanted.space_group)
    torch.testing.assert_close(got.lengths, wanted.lengths, rtol=0, atol=1e-9)
    torch.testing.assert_close(got.angles, wanted.angles, rtol=0, atol=1e-9)
    assert symmetry_error(made.structures).max() < 1e-9
    assert shortest_distance_ratio(made.structures).min() >= min_ratio
    # a supergroup has at least the operations of the group
    for (cell, numbers, points), group in zip(
        iterate_arrays(made.structures), wanted.space_group.tolist(), strict=True
    ):
        found = spglib.get_symmetry_dataset((cell, points, numbers), symprec=0.01)
        assert len(found.rotations) >= wyckoff_positions(group)[0].multiplicity


@pytest.fixture(scope="module")
def quick() -> WyckoffPlacement:
    return WyckoffPlacement(max_assignments=40, tries=200, keep=20, steps=10)


def test_structures_have_the_atoms_the_cell_and_the_operations_of_their_spec() -> None:
    specs = random_specs(100, seed=0)
    loose = WyckoffPlacement(
        max_assignments=20, tries=100, keep=10, steps=10, min_ratio=0.4, require_group=False
    )
    made = loose.generate(specs)
    assert len(made.rows) >= 95
    assert_fulfils(made, specs, 0.4)


def test_the_group_is_exactly_the_one_asked_for(quick: WyckoffPlacement) -> None:
    specs = random_specs(60, seed=1)
    made = quick.generate(specs)
    assert len(made.rows) >= 10
    wanted = specs[made.rows].space_group
    for tolerance in (0.05, 0.01, 1e-4):
        assert find_space_groups(made.structures, tolerance).equal(wanted)
    found = [
        spglib.get_symmetry_dataset((cell, points, numbers), symprec=0.01).number
        for cell, numbers, points in iterate_arrays(made.structures)
    ]
    assert found == wanted.tolist()
    assert shortest_distance_ratio(made.structures).min() >= quick.min_ratio


@pytest.mark.parametrize(
    ("symbol", "cell", "species", "points"),
    [
        ("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        ("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
        ("Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0.5] * 3, [0, 0, 0], [0.5, 0, 0]]),
        ("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
        ("P6_3mc", Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]),
        ("R-3c", Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]),
    ],
)
def test_known_crystals_are_found_again(
    quick: WyckoffPlacement, symbol: str, cell: Lattice, species: list[str], points: list[list[float]]
) -> None:
    crystal = Structure.from_spacegroup(symbol, cell, species, points)
    made = quick.generate(conventional_structures(from_pymatgen([crystal])).specs())
    assert len(made.rows) == 1
    assert to_pymatgen(made.structures)[0].matches(crystal, stol=0.5)


def test_a_result_depends_on_spec_and_seed_alone(quick: WyckoffPlacement) -> None:
    specs = random_specs(12, seed=2)
    together = quick.generate(specs, seed=5)
    for place, row in enumerate(together.rows.tolist()):
        alone = quick.generate(specs[row : row + 1], seed=5)
        assert alone.structures.fractional.equal(together.structures[place : place + 1].fractional)
    low = CrystalSpec(
        torch.tensor([1]),
        random_specs(1, seed=3).composition,
        torch.tensor([[6.0, 7.0, 8.0]], dtype=torch.float64),
        torch.tensor([[80.0, 95.0, 100.0]], dtype=torch.float64),
    )
    points = [quick.generate(low, seed=seed).structures.fractional for seed in (0, 0, 1)]
    assert points[0].equal(points[1])
    assert not points[0].equal(points[2])


def test_specs_that_cannot_be_placed_are_left_out(quick: WyckoffPlacement) -> None:
    good = random_specs(40, seed=1)
    row = quick.generate(good).rows[:1]
    composition = torch.zeros(1, 119, dtype=torch.int64)
    composition[0, [3, 8, 9]] = 1
    cube = torch.full((1, 3), 4.0, dtype=torch.float64)
    right = torch.full((1, 3), 90.0, dtype=torch.float64)
    no_assignment = CrystalSpec(torch.tensor([221]), composition, cube, right)
    crowded = CrystalSpec(
        good[row].space_group, good[row].composition, good[row].lengths / 4, good[row].angles
    )
    made = quick.generate(CrystalSpec.cat([no_assignment, good[row], crowded]))
    assert made.rows.tolist() == [1]
    empty = quick.generate(no_assignment)
    assert len(empty.rows) == len(empty.structures) == 0


def test_spacing_of_candidates_is_that_of_the_whole_structures() -> None:
    group, elements = 62, [22, 8]
    positions = wyckoff_positions(group)
    assignments = [((1,), (0,)), ((1,), (1, 1)), ((2, 3), (0,))]
    assignments = [
        assignment for assignment in assignments if sum(positions[i].multiplicity for i in assignment[0]) == 4
    ]
    orbits = AssignedOrbits.of(group, elements, assignments, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(assignments), (30,), generator=generator)
    most = orbits.representative.shape[1]
    parameters = torch.rand(30, most, 3, generator=generator, dtype=torch.float64)
    cell = torch.diag(torch.tensor([5.0, 6.0, 9.0], dtype=torch.float64))
    spacing = Spacing(orbits, PeriodicLattice.of(cell), contact_distances(orbits.atomic_numbers, 0.0))
    coordinates = orbits.coordinates(rows, parameters)
    for candidate, row in enumerate(rows.tolist()):
        chosen = [positions[index] for own in assignments[row] for index in own]
        expected = [
            position.orbit(parameters[candidate, place].numpy()) for place, position in enumerate(chosen)
        ]
        difference = coordinates[candidate].numpy() - np.concatenate(expected)
        np.testing.assert_allclose(difference, np.round(difference), atol=1e-12)
    n_atoms = coordinates.shape[1]
    structures = StructureBatch(
        cell.expand(30, 3, 3),
        orbits.atomic_numbers.repeat(30),
        coordinates.reshape(-1, 3),
        torch.arange(30).repeat_interleave(n_atoms),
        torch.full((30,), group),
    )
    expected_ratio = shortest_distance_ratio(structures)
    torch.testing.assert_close(
        spacing.smallest(rows, parameters, chunk=7), expected_ratio, rtol=1e-9, atol=1e-6
    )
    spread = spacing.spread(rows, parameters, target=0.9, steps=40, rate=0.02)
    after = spacing.smallest(rows, spread, chunk=7)
    assert after.median() > expected_ratio.median() + 0.1
    already = expected_ratio >= 0.9
    assert spread[already].equal(parameters[already])


def test_anions_touch_later_than_bonded_atoms() -> None:
    numbers = torch.tensor([12, 8])
    plain, apart = contact_distances(numbers, 0.0), contact_distances(numbers, 0.6)
    assert plain.tolist() == [[2.82, 2.07], [2.07, 1.32]]
    assert apart[0].equal(plain[0])
    assert 1.32 * 1.4 < apart[1, 1] <= 1.32 * 1.6
    metal = contact_distances(torch.tensor([26, 26]), 0.6)
    assert metal.equal(contact_distances(torch.tensor([26, 26]), 0.0))


@pytest.mark.parametrize(
    "options", [{"tries": 0}, {"keep": -1}, {"min_ratio": -0.1}, {"symprec": 0.0}, {"steps": -1}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        WyckoffPlacement(**options)
