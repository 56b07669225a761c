"""Inputs of a denoiser: noise of the right size, whose way back is the shortest, and lattice parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.models.denoiser import CLOSEST
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.denoising_noise import lattice_parameters, noisy_cubes
from tests.models.denoisers import crystals
from tests.models.equivalents import random_crystals


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_has_the_size_asked_for_and_the_way_back_undoes_it() -> None:
    clean = StructureBatch.cat([random_crystals(20, seed=3)] * 20)
    shown, way = noisy_cubes(clean, 0.05, noise())
    assert torch.equal(shown.cell, torch.eye(3).double().expand(len(clean), 3, 3))
    assert (shown.fractional >= 0.0).all() and (shown.fractional < 1.0).all()
    left = shown.fractional + way - clean.fractional
    torch.testing.assert_close(left, left.round(), atol=1e-12, rtol=0)
    assert way.std() == pytest.approx(0.05, rel=0.05) and abs(way.mean()) < 0.005
    again, _ = noisy_cubes(clean, 0.05, noise())
    assert torch.equal(again.fractional, shown.fractional)


def test_each_structure_has_its_own_noise() -> None:
    clean = StructureBatch.cat([random_crystals(20, seed=3)] * 20)
    sigma = torch.tensor([0.0, 0.02, 0.05, 0.0], dtype=torch.float64).repeat(100)
    shown, way = noisy_cubes(clean, sigma, noise())
    mine = sigma[clean.structure_index]
    still = mine == 0.0
    assert not way[still].any() and torch.equal(shown.fractional[still], clean.fractional[still] % 1.0)
    for size in (0.02, 0.05):
        assert way[mine == size].std() == pytest.approx(size, rel=0.05)


def test_atoms_never_come_to_lie_on_each_other() -> None:
    # one atom at two nearly equal places, which noise brings together often
    pair = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0.1] * 3, [0.1, 0.1, 0.102]])
    clean = from_pymatgen([pair] * 400)
    shown, way = noisy_cubes(clean, 0.002, noise())
    ends = shown.fractional.view(400, 2, 3)
    assert ((ends[:, 0] - ends[:, 1]).norm(dim=1) >= CLOSEST).all()
    assert torch.allclose(shown.fractional + way, clean.fractional, atol=1e-12)


def test_the_way_back_is_the_shortest_in_reduced_cells() -> None:
    clean = crystals()
    shown, way = noisy_cubes(clean, 0.05, noise(4))
    for row, structure in enumerate(to_pymatgen(clean)):
        lattice = structure.lattice.get_niggli_reduced_lattice()
        atoms = clean.structure_index == row
        pairs = zip(
            shown.fractional[atoms].numpy(), clean.fractional[atoms].numpy(), way[atoms].numpy(), strict=True
        )
        for start, end, step in pairs:
            distance, image = lattice.get_distance_and_image(start, end)
            assert np.allclose(end + image - start, step, atol=1e-12)
            assert distance == pytest.approx(
                float(np.linalg.norm(lattice.get_cartesian_coords(step))), abs=1e-9
            )


def test_lattice_parameters_are_those_of_pymatgen_and_bear_flat_cells() -> None:
    batch = random_crystals(12, seed=5)
    expected = [structure.lattice.parameters for structure in to_pymatgen(batch)]
    np.testing.assert_allclose(lattice_parameters(batch.cell), expected, rtol=1e-10)
    flat = torch.eye(3)[None].repeat(2, 1, 1)
    flat[0, 1], flat[1, 2] = flat[0, 0], 0.0
    flat.requires_grad_()
    lattice_parameters(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()
