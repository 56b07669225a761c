"""Nearest images and shortest distances against brute force over many cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Structure

from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.distances import PeriodicLattice, shortest_distance, shortest_distance_ratio

NEIGHBOURS = np.array(list(product(range(-6, 7), repeat=3)))


@given(st.integers(0, 10_000))
def test_nearest_images_in_skewed_cells(seed: int) -> None:
    generator = np.random.default_rng(seed)
    # an unreduced basis of a nearly orthogonal lattice: multiples of rows added to each other
    cell = generator.uniform(-0.8, 0.8, size=(3, 3)) + np.diag(generator.uniform(2, 8, size=3))
    skewed = (
        np.array([[1, 0, 0], [generator.integers(-2, 3), 1, 0], [generator.integers(-1, 2), 1, 1]]) @ cell
    )
    difference = generator.uniform(-2, 2, size=(20, 3))
    lattice = PeriodicLattice.of(torch.from_numpy(skewed))
    # brute force in the good basis, where the nearest image cannot be far
    fractional = difference @ skewed @ np.linalg.inv(cell)
    images = ((fractional - np.round(fractional))[:, None] + NEIGHBOURS) @ cell
    expected = np.linalg.norm(images, axis=2).min(axis=1)
    np.testing.assert_allclose(lattice.distances(torch.from_numpy(difference)).numpy(), expected, atol=1e-6)
    lengths = np.linalg.norm(NEIGHBOURS @ cell, axis=1)
    assert lattice.shortest == pytest.approx(lengths[lengths > 1e-9].min(), rel=1e-9)


def test_ratios_are_those_of_a_neighbour_list(crystals: list[Structure]) -> None:
    ratios = shortest_distance_ratio(from_pymatgen(crystals))
    for ratio, crystal in zip(ratios.tolist(), crystals, strict=True):
        smallest = min(
            neighbour.nn_distance / (covalent_radii[site.specie.Z] + covalent_radii[neighbour.specie.Z])
            for site, neighbours in zip(crystal, crystal.get_all_neighbors(7.0), strict=True)
            for neighbour in neighbours
        )
        assert ratio == pytest.approx(smallest, rel=1e-6)


def test_distances_are_those_of_a_neighbour_list(crystals: list[Structure]) -> None:
    found = shortest_distance(from_pymatgen(crystals)).tolist()
    lists = [crystal.get_neighbor_list(7.0)[3] for crystal in crystals]
    assert found == pytest.approx([distances.min() for distances in lists], rel=1e-6)


def test_an_atom_sees_its_own_images() -> None:
    crystal = Structure([[1.0, 0, 0], [0, 8.0, 0], [0, 0, 8.0]], ["Po"], [[0, 0, 0]])
    ratio = shortest_distance_ratio(from_pymatgen([crystal])).item()
    assert ratio == pytest.approx(1.0 / (2 * covalent_radii[84]))


def test_the_slope_is_finite_where_atoms_meet() -> None:
    lattice = PeriodicLattice.of(5 * torch.eye(3, dtype=torch.float64))
    difference = torch.tensor([[0.0, 0, 0], [0.1, 0, 0]], dtype=torch.float64, requires_grad=True)
    lattice.distances(difference).sum().backward()
    assert difference.grad is not None
    torch.testing.assert_close(difference.grad, torch.tensor([[0.0, 0, 0], [5.0, 0, 0]], dtype=torch.float64))
