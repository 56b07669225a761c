"""Whether specs are within their contract: a closed cell of the group's lattice system, and counts that fit the group.

For specs that come from outside; those that an environment makes are within it by construction.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.crystallography.lattice import complete_parameters, is_closed, is_possible
from gflownet_crystal.crystallography.occupation import IMPOSSIBLE, WyckoffOccupation
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.structures.spec import CrystalSpec

LENGTH_TOLERANCE, ANGLE_TOLERANCE = 1e-3, 0.05
"""Largest deviation of a cell from its lattice system: relative, and in degrees."""

REASONS = (
    "",
    "the space group is not an ITA number from 1 to 230",
    "it has no atoms, a negative count, or atoms without an element",
    "lengths must be finite and above 0 Å, and angles must close a cell",
    "the cell is not of the group's lattice system (conventional cell, ITA standard setting, hexagonal axes)",
    "no occupation of the group's Wyckoff positions has these counts of the conventional cell",
)
"""Text of each fault; 0 is none."""

NO_OCCUPATION = len(REASONS) - 1

_SIZES = (32, 100, 300, 800)

_LATTICE_SYSTEM = torch.as_tensor(lattice_system_of_group)


def spec_faults(specs: CrystalSpec) -> Tensor:
    """(n,) int64: the first fault of each spec as its place in :data:`REASONS`, 0 where there is none."""
    group = specs.space_group.clamp(1, N_SPACE_GROUPS)
    parameters = torch.cat([specs.lengths, specs.angles], dim=1)
    system = on_device(_LATTICE_SYSTEM, specs.device)[group]
    off = (complete_parameters(system, parameters) - parameters).abs()
    far = (off[:, :3] > LENGTH_TOLERANCE * specs.lengths).any(1) | (off[:, 3:] > ANGLE_TOLERANCE).any(1)
    fault = torch.where(_fits(specs.composition, group), 0, NO_OCCUPATION)
    fault = fault.masked_fill(far, 4)
    fault = fault.masked_fill(~(is_possible(specs.lengths, specs.angles) & is_closed(specs.angles)), 3)
    no_atoms = (
        (specs.composition < 0).any(1) | (specs.composition.sum(1) <= 0) | (specs.composition[:, 0] != 0)
    )
    return fault.masked_fill(no_atoms, 2).masked_fill(group != specs.space_group, 1)


def complaint(specs: CrystalSpec, faults: Tensor) -> str | None:
    """One line on the first faulty spec, None if there is none.

    Args:
        specs: n specs.
        faults: (n,) as from :func:`spec_faults`.
    """
    if not bool(faults.any()):
        return None
    rows = faults.nonzero().squeeze(1).tolist()
    row = rows[0]
    parameters = ", ".join(f"{x:g}" for x in [*specs.lengths[row].tolist(), *specs.angles[row].tolist()])
    more = f" (and {len(rows) - 1} more of {len(specs)})" if len(rows) > 1 else ""
    formula = specs[row : row + 1].formulas()[0] or "no atoms"
    return (
        f"spec {row}{more}, {formula} in group {int(specs.space_group[row])} with cell {parameters}: "
        f"{REASONS[int(faults[row])]}; correct it or leave it out"
    )


def placing_fault(specs: CrystalSpec) -> str | None:
    """Words on the first spec that no generator can take; None if there is none.

    Counts that no occupation of the group has are no such fault: generators leave these specs out one by one.
    """
    faults = spec_faults(specs)
    return complaint(specs, faults.masked_fill(faults == NO_OCCUPATION, 0))


def _fits(composition: Tensor, group: Tensor) -> Tensor:
    """(n,) bool: whether counts (n, 119) occupy the Wyckoff positions of groups (n,)."""
    if not len(composition):
        return torch.ones_like(group, dtype=torch.bool)
    positive = composition.clamp(min=0)
    # both in one wait for a GPU
    most, largest = torch.stack([(positive > 0).sum(1).max(), positive.max()]).tolist()
    counts = positive.topk(max(1, most), dim=1).values
    general = on_device(_general_multiplicity(), group.device)[group][:, None]
    # past the largest table, one orbit of the general position more or less changes nothing
    top = _SIZES[-1]
    counts = torch.where(counts > top, top - (top - counts) % general, counts)
    occupation = _occupation(next(size for size in _SIZES if size >= min(largest, top)))
    transition = on_device(occupation.transition, group.device)
    state = on_device(occupation.initial, group.device)[group]
    for column in counts.unbind(1):
        state = transition[state, column]
    return state != IMPOSSIBLE


@cache
def _occupation(max_count: int) -> WyckoffOccupation:
    return WyckoffOccupation(max_count)


@cache
def _general_multiplicity() -> Tensor:
    table = wyckoff_table()
    group = torch.as_tensor(table.group, dtype=torch.int64)
    multiplicity = torch.as_tensor(table.multiplicity, dtype=torch.int64)
    return torch.ones(N_SPACE_GROUPS + 1, dtype=torch.int64).scatter_reduce(0, group, multiplicity, "amax")
