"""Generated crystals made again: as the denoiser makes them, where it can read them and keeps their atoms apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gflownet_crystal.generators.placing.denoised import denoised
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.denoisers import denoiser
from tests.models.equivalents import random_crystals


@pytest.fixture(scope="module")
def model() -> Denoiser:
    made = denoiser("gemsnet", torch.float64)
    made.fit_volumes(random_crystals(5, seed=3))
    return made


def same_crystals(mine: StructureBatch, theirs: StructureBatch) -> None:
    torch.testing.assert_close(mine.cell, theirs.cell, atol=1e-9, rtol=0)
    difference = mine.fractional - theirs.fractional
    torch.testing.assert_close(difference, difference.round(), atol=1e-9, rtol=0)


def test_crystals_are_as_the_denoiser_makes_them(model: Denoiser) -> None:
    given = random_crystals(5, seed=3)
    made = model.denoised(given)
    assert (made.cell - given.cell).abs().max() > 1e-2
    same_crystals(denoised(given, model, 0.0), made)


def test_crystals_that_cannot_be_read_stay_and_hold_up_no_others(model: Denoiser) -> None:
    given = random_crystals(5, seed=3)
    first = (given.structure_index == 1).nonzero()[:2, 0]
    fractional, numbers = given.fractional.clone(), given.atomic_numbers.clone()
    fractional[first[1]] = fractional[first[0]]
    unknown = int((~model.learned_elements).nonzero()[5, 0])
    numbers[(given.structure_index == 3).nonzero()[0, 0]] = unknown
    faulty = replace(given, fractional=fractional, atomic_numbers=numbers)
    made, rest = denoised(faulty, model, 0.0), torch.tensor([0, 2, 4])
    same_crystals(made[rest], model.denoised(given)[rest])
    for row in (1, 3):
        stays = torch.tensor([row])
        assert torch.equal(made[stays].cell, faulty[stays].cell)
        assert torch.equal(made[stays].fractional, faulty[stays].fractional)


def test_crystals_whose_atoms_come_too_close_are_not_taken(model: Denoiser) -> None:
    given = random_crystals(5, seed=3)
    made = model.denoised(given)
    nearest = torch.tensor([closest_pair(crystal) for crystal in to_pymatgen(made)])
    limit = float(nearest.sort().values[1:3].mean())
    found = denoised(given, model, limit)
    for row, distance in enumerate(nearest.tolist()):
        expected = made if distance >= limit else given
        same_crystals(found[torch.tensor([row])], expected[torch.tensor([row])])


def closest_pair(crystal) -> float:
    """Å, images of the same atom included."""
    distances = crystal.get_neighbor_list(30.0)[3]
    return float(distances.min())
