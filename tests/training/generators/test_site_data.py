"""Descriptions of crystals: all are the same crystal, and the nearest one is found as by trying them all."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.training.generators.site_data import uniform_parameters
from tests.models.small_sites import known_sites, sorted_distances
from tests.structures.conftest import CRYSTALS


def test_all_placements_and_images_are_the_same_crystal() -> None:
    data = known_sites()
    wanted = sorted_distances(data, data.occupied.parameters)
    n_orbits = data.n_orbits
    entries = (data.placements * n_orbits).cumsum(0) - data.placements * n_orbits
    first_image = data.images.cumsum(0) - data.images
    rng = np.random.default_rng(0)
    for _ in range(6):
        parameters = torch.zeros_like(data.occupied.parameters)
        orbit = 0
        for crystal, size in enumerate(n_orbits.tolist()):
            placement = rng.integers(int(data.placements[crystal]))
            for place in range(size):
                entry = int(entries[crystal]) + placement * size + place
                image = int(first_image[entry]) + rng.integers(int(data.images[entry]))
                parameters[orbit] = data.parameters[image]
                orbit += 1
        for left, right in zip(sorted_distances(data, parameters), wanted, strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=1e-6)


def test_numbers_of_placements_and_images_are_those_of_the_groups() -> None:
    data = known_sites()
    names = list(CRYSTALS)
    quartz = names.index("quartz")
    orbits = (data.occupied.structure == quartz).nonzero()[:, 0]
    silicon, oxygen = (orbits[data.occupied.atomic_number[orbits] == number] for number in (14, 8))
    entries = (data.placements * data.n_orbits).cumsum(0) - data.placements * data.n_orbits
    images = data.images[int(entries[quartz]) :]
    # the first atom of 3a has one place on its axis, that of the general position 6c is any of six
    assert {int(images[int(silicon - orbits[0])]), int(images[int(oxygen - orbits[0])])} == {1, 6}
    rock_salt = names.index("rock salt")
    assert int(data.placements[rock_salt]) == 1


def test_pairs_and_free_parameters_are_counted() -> None:
    data = known_sites()
    tables = orbit_tables()
    for crystal in range(len(data)):
        mine = data.occupied.position[data.occupied.structure == crystal]
        atoms = int(tables.primitive_multiplicity[mine].sum())
        assert int(data.n_pairs[crystal]) == atoms * len(mine)
    names = list(CRYSTALS)
    assert int(data.n_free[names.index("quartz")]) == 4
    assert int(data.n_free[names.index("baddeleyite")]) == 9
    assert not bool(data.is_free[names.index("perovskite")])


def test_the_nearest_description_is_found_as_by_trying_all() -> None:
    data = known_sites()
    graph = data.graph()
    start = uniform_parameters(graph, torch.Generator().manual_seed(3))
    way = data.nearest(graph, start)
    span = graph.span.numpy()
    entries = (data.placements * data.n_orbits).cumsum(0) - data.placements * data.n_orbits
    first_image = data.images.cumsum(0) - data.images
    for name in ("rutile", "corundum", "baddeleyite", "marcasite", "tenorite", "quartz", "triclinic"):
        crystal = list(CRYSTALS).index(name)
        orbits = (graph.crystal == crystal).nonzero()[:, 0].tolist()
        best = np.inf
        for placement in range(int(data.placements[crystal])):
            total = 0.0
            for place, orbit in enumerate(orbits):
                entry = int(entries[crystal]) + placement * len(orbits) + place
                begin = int(first_image[entry])
                candidates = data.parameters[begin : begin + int(data.images[entry])] - start[orbit]
                candidates = candidates - candidates.round()
                squared = np.square(candidates.numpy() @ span[orbit]).sum(1)
                total += float(graph.multiplicity[orbit]) * squared.min()
            best = min(best, total)
        found = sum(
            float(graph.multiplicity[orbit]) * np.square(way[orbit].numpy() @ span[orbit]).sum()
            for orbit in orbits
        )
        np.testing.assert_allclose(found, best, rtol=1e-9)


def test_the_way_has_no_drift_and_ends_at_a_description_of_the_crystal() -> None:
    data = known_sites()
    graph = data.graph()
    start = uniform_parameters(graph, torch.Generator().manual_seed(4))
    way = data.nearest(graph, start)
    assert float(graph.drift(graph.displacement(way)).abs().max()) < 1e-9
    wanted = sorted_distances(data, data.occupied.parameters)
    for left, right in zip(sorted_distances(data, start + way), wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-6)


def test_chosen_crystals_are_described_as_among_all() -> None:
    data = known_sites()
    rows = torch.tensor([9, 2, 12, 9])
    chosen = data.take(rows)
    assert chosen.n_free.equal(data.n_free[rows])
    wanted = sorted_distances(data, data.occupied.parameters)
    for row, found in zip(rows.tolist(), sorted_distances(chosen, chosen.occupied.parameters), strict=True):
        torch.testing.assert_close(found, wanted[row])
    sizes = [list(product([row], range(int(data.placements[row])))) for row in rows.tolist()]
    assert int(chosen.placements.sum()) == sum(map(len, sizes))
    assert int(chosen.images.sum()) == len(chosen.parameters)
