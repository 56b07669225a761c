"""Annealed Langevin dynamics of positions, and of positions and lattices, for many crystals at once.

Sultanov et al., J. Chem. Inf. Model. 63, 6986 (2023), algorithm 1. Noise is a function of a key for each site and of
the number of the step, so that crystals do not depend on their batch; no step waits for the host.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gflownet_crystal.generators.draws import joined, uniform
from gflownet_crystal.generators.placing.counter_noise import normals
from gflownet_crystal.models.langevin.lattice_lengths import (
    FIRST_FIXED_ANGLES,
    equal_lengths,
    stretched,
    to_lengths,
    to_reals,
)
from gflownet_crystal.models.langevin.model import Schedule, ScoreModel, Sites, langevin_step, step_sizes

# Å; cells are kept within the range of crystals, as a lattice outside returns slowly
_SHORTEST_CELL, _LONGEST_CELL = 1.5, 100.0
# states are kept on this grid, so that sums rounded otherwise in another batch do not grow from step to step
_GRID = 2.0**-30


@torch.no_grad()
def anneal_positions(
    model: ScoreModel, sites: Sites, fractional: Tensor, cell: Tensor, keys: Tensor, schedule: Schedule
) -> Tensor:
    """Positions of N sites drawn with the lattice held, (N, 3) fractional, not wrapped.

    Args:
        model: scores.
        sites: sites of n structures; only their free parameters move.
        fractional: (N, 3) float64, where they start.
        cell: (n, 3, 3) float64 conventional, Å.
        keys: (N,) int64, of the noise.
        schedule: steps and sizes.
    """
    owner = sites.structure_index
    deviations, sizes, levels = _levels(model, len(cell), schedule.position_rate, cell.device)
    numbers = torch.arange(len(sizes) * schedule.steps, device=cell.device)
    inverse = torch.linalg.inv(cell)[owner]
    still = torch.zeros_like(fractional)
    for number in range(len(numbers)):
        level = number // schedule.steps
        seen = model(sites, fractional, cell, levels[level])
        noise = normals(keys, numbers[number])
        if sites.projector is not None:
            noise = (noise[:, None] @ sites.projector)[:, 0]
        score = -seen.positions / deviations[level]
        step = langevin_step(still, score, sizes[level], noise)
        fractional = _on_grid(fractional + (step[:, None] @ inverse)[:, 0])
    return fractional


@torch.no_grad()
def anneal_crystals(
    model: ScoreModel,
    space_group: Tensor,
    atomic_numbers: Tensor,
    structure_index: Tensor,
    keys: Tensor,
    schedule: Schedule,
    start_length: float,
) -> tuple[Tensor, Tensor]:
    """Positions of N sites anywhere and lengths of n cells, drawn together (algorithm 1).

    Both scores are those at the state before a step. A step of the lattice takes the fractional coordinates along.

    Args:
        model: scores.
        space_group: (n,) int64, 16 to 230.
        atomic_numbers: (N,) int64.
        structure_index: (N,) int64, not decreasing; every structure has a site.
        keys: (n,) int64, of the noise.
        schedule: steps and sizes.
        start_length: mean of the Gaussian from which lengths start, Å; its deviation, in L3, is the largest noise's.

    Returns:
        (N, 3) fractional and (n, 3, 3) conventional cells, Å.
    """
    device = space_group.device
    sources, n = equal_lengths(space_group), len(space_group)
    shape = unit_cells(space_group)
    deviations, sizes, levels = _levels(model, n, schedule.position_rate, device)
    lattice_deviations = model.levels.lattice().to(device)
    lattice_sizes = step_sizes(lattice_deviations, schedule.lattice_rate)
    first = torch.searchsorted(structure_index, torch.arange(n, device=device))
    within = torch.arange(len(structure_index), device=device) - first[structure_index]
    # a crystal's lattice has a key of its own, before those of its sites
    site_keys = joined(keys[structure_index], within + 1)
    lattice_keys = joined(keys, torch.zeros_like(keys))
    numbers = torch.arange(1 + len(sizes) * schedule.steps, device=device)
    middle = to_reals(torch.full((n, 3), start_length, dtype=torch.float64, device=device))
    ends = to_reals(middle.new_tensor([_SHORTEST_CELL, _LONGEST_CELL]))
    drawn = normals(lattice_keys, numbers[0]).gather(1, sources)
    reals = _on_grid((middle + lattice_deviations[0] * drawn).clamp(ends[0], ends[1]))
    axes = torch.arange(3, device=device)
    fractional = uniform(joined(site_keys[:, None], -axes - 2))
    for level in range(len(sizes)):
        cell = stretched(shape, to_lengths(reals))
        sites = Sites.anywhere(cell, space_group, atomic_numbers, structure_index, model.cutoff)
        for step in range(schedule.steps):
            number = numbers[1 + level * schedule.steps + step]
            seen = model(sites, fractional, cell, levels[level])
            noise = normals(site_keys, number)
            moved = langevin_step(
                torch.zeros_like(noise), -seen.positions / deviations[level], sizes[level], noise
            )
            inverse = torch.linalg.inv_ex(cell).inverse[structure_index]
            fractional = _on_grid(fractional + (moved[:, None] @ inverse)[:, 0])
            noise = normals(lattice_keys, number).gather(1, sources)
            score = -seen.lattice / lattice_deviations[level]
            reals = langevin_step(reals, score, lattice_sizes[level], noise, schedule.lattice_noise)
            reals = _on_grid(reals.clamp(ends[0], ends[1]))
            cell = stretched(shape, to_lengths(reals))
    return fractional, cell


def unit_cells(space_group: Tensor) -> Tensor:
    """Conventional cells with edges of 1 Å of groups whose angles are fixed, (n,) -> (n, 3, 3) float64.

    Exact, where the cosines of 90 and 120 degrees in ``parameters_to_matrix`` are not.
    """
    cell = torch.eye(3, dtype=torch.float64, device=space_group.device).repeat(len(space_group), 1, 1)
    hexagonal = (space_group >= 143) & (space_group <= 194)
    slanted = torch.tensor([-0.5, math.sqrt(0.75), 0.0], dtype=torch.float64, device=space_group.device)
    cell[:, 1] = torch.where(hexagonal[:, None], slanted, cell[:, 1])
    return cell


def has_fixed_angles(space_group: Tensor) -> Tensor:
    """Whether the lattice of a group is known by its lengths, (n,) -> (n,) bool."""
    return space_group >= FIRST_FIXED_ANGLES


def _on_grid(state: Tensor) -> Tensor:
    return (state / _GRID).round() * _GRID


def _levels(model: ScoreModel, n: int, rate: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Deviations and step sizes of positions, (F,) each, and for each level its number, (F, n)."""
    deviations = model.levels.positions().to(device)
    levels = torch.arange(len(deviations), device=device)[:, None].expand(-1, n)
    return deviations, step_sizes(deviations, rate), levels
