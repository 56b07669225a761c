"""Annealed Langevin dynamics with exact scores finds the densities that it is given."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.generators.draws import mix
from gflownet_crystal.generators.placing.annealing import anneal_crystals, anneal_positions, unit_cells
from gflownet_crystal.models.langevin.lattice_lengths import to_reals
from gflownet_crystal.models.langevin.model import NoiseLevels, Schedule, Sites, step_sizes
from tests.generators.toy_scores import KnownCrystals

N = 250


def stationary_deviation(sigma: float, step: float) -> float:
    """Of x' = x - step / (2 sigma^2) x + sqrt(step) z."""
    kept = 1.0 - step / (2 * sigma**2)
    return math.sqrt(step / (1.0 - kept**2))


def test_positions_are_drawn_from_a_mixture_on_a_lattice():
    cell = parameters_to_matrix(
        torch.tensor([[4.0, 5.0, 4.5]], dtype=torch.float64), torch.tensor([[80.0, 95.0, 105.0]]).double()
    ).repeat(N, 1, 1)
    modes = torch.tensor([[0.1, 0.2, 0.3], [0.6, 0.8, 0.5]], dtype=torch.float64)
    shares = torch.tensor([0.7, 0.3], dtype=torch.float64)
    owner, ones = torch.arange(N), torch.ones(N, dtype=torch.int64)
    start = torch.rand(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sites = Sites.on_positions(cell, ones, ones, start, owner, 1.0)
    model = KnownCrystals(modes, shares, moving=1)
    points = anneal_positions(model, sites, start, cell, mix(owner), Schedule(steps=8))
    difference = points[:, None] - modes
    apart = (difference - difference.round()) @ cell[0]
    mode = apart.norm(dim=2).argmin(1)
    near = apart[owner, mode]
    assert near.norm(dim=1).max() < 0.03 * 6
    assert abs((mode == 0).double().mean() - 0.7) < 4 * math.sqrt(0.21 / N)
    expected = stationary_deviation(0.03, 1e-3)
    assert (near.std(0) / expected - 1).abs().max() < 0.15


def test_a_special_position_moves_along_its_line_only():
    cell = (unit_cells(torch.tensor([136])) * torch.tensor([4.6, 4.6, 3.0])[:, None]).double().repeat(N, 1, 1)
    mode = torch.tensor([[0.305, 0.305, 0.0]], dtype=torch.float64)
    owner = torch.arange(N)
    start = mode.repeat(N, 1) * torch.rand(N, 1, dtype=torch.float64).add(0.5)
    start[:, 1] = start[:, 0]
    group, number = torch.full((N,), 136), torch.full((N,), 8)
    sites = Sites.on_positions(cell, group, number, start, owner, 1.0)
    model = KnownCrystals(mode, torch.ones(1, dtype=torch.float64), moving=8)
    points = anneal_positions(model, sites, start, cell, mix(owner), Schedule(steps=10))
    assert (points[:, 0] - points[:, 1]).abs().max() < 1e-8
    assert points[:, 2].abs().max() < 1e-8
    along = points[:, 0] - 0.305
    along = (along - along.round()) * 4.6 * math.sqrt(2)
    assert along.abs().max() < 0.03 * 6
    assert abs(float(along.std()) / stationary_deviation(0.03, 1e-3) - 1) < 0.15


@pytest.mark.parametrize(("group", "free"), [(221, 1), (136, 2), (191, 2), (47, 3)])
def test_lattices_follow_the_recursion_of_a_gaussian(group, free):
    mean = to_reals(torch.tensor([4.2, 4.2, 4.2] if free < 3 else [4.0, 5.0, 6.0], dtype=torch.float64))
    spread, schedule = 0.5, Schedule(steps=20)
    model = KnownCrystals(torch.zeros(1, 3).double(), torch.ones(1).double(), 1, mean, spread)
    owner = torch.arange(N)
    groups, ones = torch.full((N,), group), torch.ones(N, dtype=torch.int64)
    _, cell = anneal_crystals(model, groups, ones, owner, mix(owner), schedule, 7.0)
    reals = to_reals(cell.norm(dim=2))
    if free < 3:
        assert (reals[:, 0] - reals[:, 1]).abs().max() < 1e-9
    deviations = NoiseLevels().lattice()
    offset = to_reals(torch.tensor(7.0, dtype=torch.float64)) - mean
    variance = deviations[0] ** 2
    for deviation, size in zip(deviations, step_sizes(deviations, 1e-2), strict=True):
        kept = 1 - size / (2 * (spread**2 + deviation**2))
        for _ in range(schedule.steps):
            offset, variance = kept * offset, kept**2 * variance + 0.15**2 * size
    miss = (reals.mean(0) - mean - offset) / (variance / N).sqrt()
    assert miss.abs().max() < 4.5
    assert (reals.std(0) / variance.sqrt() - 1).abs().max() < 0.15


def test_cells_of_one_angstrom():
    groups = torch.tensor([47, 136, 152, 166, 191, 225])
    angles = torch.tensor([[90.0, 90, 90], [90, 90, 90], *[[90, 90, 120]] * 3, [90, 90, 90]]).double()
    expected = parameters_to_matrix(torch.ones(6, 3).double(), angles)
    assert torch.allclose(unit_cells(groups), expected, atol=1e-12)
