"""Denoisers: what they make does not depend on how they are shown it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pymatgen.core import Structure
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.denoisers import GEMSNET, crystals, denoiser
from tests.models.equivalents import descriptions, known_crystals, random_crystals


@pytest.mark.parametrize("volumes", [True, False])
@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_actions_follow_the_description_of_the_crystal(name: str, volumes: bool) -> None:
    """The new crystal in each description is the same, whatever cell it starts from."""
    model = denoiser(name, torch.float64, volumes)
    batch = StructureBatch.cat([random_crystals(3, seed=3), known_crystals()])
    action = model.actions(batch)
    assert action.displacement.abs().max() > 1e-4
    made = replace(batch, cell=action.cell, fractional=batch.fractional + action.displacement)
    expected = [distances(structure) for structure in to_pymatgen(made)]
    for kind, (other, _) in descriptions(batch).items():
        action = model.actions(other)
        made = replace(other, cell=action.cell, fractional=other.fractional + action.displacement)
        for mine, theirs in zip(map(distances, to_pymatgen(made)), expected, strict=True):
            n = min(len(mine), len(theirs))
            np.testing.assert_allclose(mine[:n], theirs[:n], atol=1e-8, err_msg=kind)


def distances(structure: Structure) -> np.ndarray:
    """The first distances from the lightest atoms, sorted: the same for every description of a crystal."""
    lightest = min(structure.atomic_numbers)
    of_one = structure.get_neighbors(structure[structure.atomic_numbers.index(lightest)], 4.0)
    return np.sort([neighbour.nn_distance for neighbour in of_one])


@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_what_is_made_does_not_depend_on_lattice_rotation_order_or_translation(name: str) -> None:
    model = denoiser(name, torch.float64)
    batch = random_crystals(5, seed=3)
    made = model.denoised(batch)
    assert (made.space_group == 0).all() and torch.equal(made.atomic_numbers, batch.atomic_numbers)
    changes = descriptions(batch)
    # the lattice is not looked at, so one that is turned or strained changes nothing
    for other in (changes["rotation"][0], replace(batch, cell=batch.cell * 1.3)):
        assert torch.equal(model.denoised(other).fractional, made.fractional)
    order = torch.cat([batch.structure_index.eq(row).nonzero()[:, 0].flip(0) for row in range(len(batch))])
    permuted = replace(batch, atomic_numbers=batch.atomic_numbers[order], fractional=batch.fractional[order])
    again = model.denoised(permuted)
    assert_same_places(again.fractional, made.fractional[order])
    torch.testing.assert_close(again.cell, made.cell, atol=1e-10, rtol=0)
    shift = torch.tensor([0.3, -0.8, 1.4], dtype=torch.float64)
    moved = model.denoised(replace(batch, fractional=batch.fractional + shift))
    assert_same_places(moved.fractional, made.fractional + shift)
    torch.testing.assert_close(moved.cell, made.cell, atol=1e-10, rtol=0)


def assert_same_places(mine: Tensor, theirs: Tensor) -> None:
    difference = mine - theirs
    torch.testing.assert_close(difference, difference.round(), atol=1e-9, rtol=0)


def test_a_network_that_makes_no_lattice_is_refused() -> None:
    model = Denoiser(GemsNet(replace(GEMSNET, lattice=False)))
    graph = model.graph(crystals())
    with pytest.raises(ConfigError, match="lattice heads"):
        model(graph)
