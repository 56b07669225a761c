"""The cells that are learned: one for each lattice, whatever cell it was given in."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from gflownet_crystal.models.gemsdiff.learned_cells import in_learned_cells, learned_basis
from gflownet_crystal.structures.structure import StructureBatch


def structures() -> StructureBatch:
    generator = torch.Generator().manual_seed(0)
    cell = 5.0 * torch.eye(3).double() + 1.5 * torch.randn(40, 3, 3, generator=generator).double()
    index = torch.arange(40).repeat_interleave(3)
    points = torch.rand(120, 3, generator=generator).double()
    return StructureBatch(cell, torch.ones(120).long(), points, index, torch.zeros(40).long())


def other_bases(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    lower = torch.randint(-2, 3, (n, 3, 3), generator=generator).double().tril(-1) + torch.eye(3).double()
    upper = torch.randint(-2, 3, (n, 3, 3), generator=generator).double().triu(1) + torch.eye(3).double()
    return lower @ upper


def test_bases_of_a_lattice_lead_to_one_metric() -> None:
    cell = structures().cell
    first = learned_basis(cell) @ cell
    again = other_bases(len(cell)) @ cell
    second = learned_basis(again) @ again
    torch.testing.assert_close(first @ first.mT, second @ second.mT, rtol=1e-8, atol=1e-8)


def test_angles_are_all_acute_or_none() -> None:
    cell = torch.cat([structures().cell, torch.eye(3).double()[None], hexagonal()[None]])
    basis = learned_basis(cell) @ cell
    metric = basis @ basis.mT
    products = torch.stack([metric[:, 0, 1], metric[:, 0, 2], metric[:, 1, 2]], dim=1)
    assert ((products > 0.0).all(1) | (products <= 1e-9).all(1)).all()


def test_distances_stay() -> None:
    given, made = structures(), in_learned_cells(structures())
    images = torch.tensor(list(product(range(-3, 4), repeat=3))).double()
    shortest = []
    for batch in (given, made):
        first, second = batch.fractional[0::3], batch.fractional[1::3]
        ways = ((second - first)[:, None] + images) @ batch.cell
        shortest.append(ways.norm(dim=2).amin(1))
    torch.testing.assert_close(shortest[0], shortest[1])


def hexagonal() -> Tensor:
    return torch.tensor([[3.0, 0.0, 0.0], [1.5, 1.5 * 3**0.5, 0.0], [0.0, 0.0, 5.0]]).double()
