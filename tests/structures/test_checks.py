"""Which structures are crystals: every kind of fault by itself, with its reason."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.structures.checks import (
    FARTHEST,
    LONGEST,
    check_parameters,
    check_structures,
)
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch

CUBE = torch.eye(3, dtype=torch.float64) * 4.0


def pair(cell: torch.Tensor = CUBE, number: int = 17, place: float = 0.5) -> StructureBatch:
    return from_arrays([cell.numpy()], [[11, number]], [[[0.0, 0.0, 0.0], [place, 0.5, 0.5]]])


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        (pair(), ""),
        (pair(CUBE * LONGEST / 4), ""),
        (pair(CUBE * LONGEST / 3.99), "longer than"),
        (pair(CUBE * torch.tensor([1.0, 1.0, 0.0])), "flat"),
        (pair(torch.tensor([[4.0, 0, 0], [4, 0, 0], [0, 0, 4]], dtype=torch.float64)), "flat"),
        (pair(CUBE * math.nan), "cell that is not finite"),
        (pair(number=0), "unknown elements"),
        (pair(number=118), ""),
        (pair(number=119), "unknown elements"),
        (pair(number=-1), "unknown elements"),
        (pair(place=math.inf), "coordinates that are not finite"),
        (pair(place=FARTHEST), ""),
        (pair(place=2 * FARTHEST), "beyond"),
        (pair(place=1e308), "beyond"),
    ],
)
def test_every_fault_has_its_reason(structure: StructureBatch, said: str) -> None:
    (reason,) = check_structures(structure)
    assert said in reason and bool(said) == bool(reason)


def test_faults_of_one_are_no_faults_of_another() -> None:
    batch = StructureBatch.cat([pair(), pair(number=0), pair(CUBE * 1e8), pair()])
    assert [bool(reason) for reason in check_structures(batch)] == [False, True, True, False]


def test_distances_count_where_they_are_asked_for() -> None:
    near = from_arrays([CUBE.numpy()], [[11, 17]], [[[0, 0, 0], [0.12, 0, 0]]])  # 0.48 Å
    far = from_arrays([CUBE.numpy()], [[11, 17]], [[[0, 0, 0], [0.13, 0, 0]]])  # 0.52 Å
    both = StructureBatch.cat([near, far])
    assert check_structures(both) == ["", ""]
    assert check_structures(both, closest=0.5) == ["atoms closer than 0.5 Å", ""]


@pytest.mark.parametrize(
    ("parameters", "good"),
    [
        ([4, 4, 4, 90, 90, 90], True),
        ([4, 4, 4, 60, 60, 60], True),
        ([-4, 4, 4, 90, 90, 90], False),
        ([4, 0, 4, 90, 90, 90], False),
        ([4, 4, math.inf, 90, 90, 90], False),
        ([4, 4, math.nan, 90, 90, 90], False),
        ([4, 4, 1e8, 90, 90, 90], False),
        ([4, 4, 4, 0, 90, 90], False),
        ([4, 4, 4, -90, 90, 90], False),
        ([4, 4, 4, 180, 90, 90], False),
        # the third angle of 60 and 60 degrees lies between 0 and 120
        ([4, 4, 4, 60, 60, 119], True),
        ([4, 4, 4, 60, 60, 121], False),
    ],
)
def test_parameters_that_close_a_cell(parameters: list[float], good: bool) -> None:
    (reason,) = check_parameters(torch.tensor([parameters], dtype=torch.float64))
    assert (reason == "") == good


def test_parameters_of_cells_without_thickness_are_refused() -> None:
    thin = torch.tensor([[5.0, 5.0, 5.0, 1e-320, 90.0, 90.0], [5.0, 5.0, 1e-4, 90.0, 90.0, 90.0]])
    good = torch.tensor([[5.0, 5.0, 5.0, 90.0, 90.0, 90.0]])
    reasons = check_parameters(torch.cat([thin, good]).double())
    assert all(reasons[:2]) and not reasons[2]
