"""The way back from noise to crystals: with the lattice, or in the free parameters of Wyckoff positions alone.

All structures go together; no step waits for the host.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.site_projectors import site_projectors
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.model import GemsDiffModel
from gflownet_crystal.models.layers.scatter import segment_mean


class Noise(Protocol):
    """Standard normal numbers, each drawn once for each step."""

    def positions(self, step: int) -> Tensor:
        """(N, 3) float64 of the atoms, or (O, 3) of the orbits."""

    def lattices(self, step: int) -> Tensor:
        """(n, 6) float64 of the lattices."""


class Sites(NamedTuple):
    """Orbits of n crystals, O in all, and their atoms, N in all, one of each in the primitive cell.

    Attributes:
        cell: (n, 3, 3) float64, the cells that the model learns, rows, Å.
        orbit: (N,) int64, the orbit of each atom.
        crystal: (O,) int64, not decreasing.
        move: (N, 3, 3) float64; parameters (row) @ move + offset are coordinates in ``cell``.
        offset: (N, 3) float64.
        read: (N, 3, 3) float64, from displacements (row) in ``cell`` to the change of parameters nearest in Å.
        spread: (O, 3, 3) float64, from standard normal numbers (row) to parameters, so that atoms move along their free
            directions equally far in Å on all of them: by the cube root of the primitive cell's volume.
    """

    cell: Tensor
    orbit: Tensor
    crystal: Tensor
    move: Tensor
    offset: Tensor
    read: Tensor
    spread: Tensor

    @classmethod
    def of(
        cls,
        cells: tuple[Tensor, Tensor],
        crystal: Tensor,
        orbit: Tensor,
        operations: tuple[Tensor, Tensor],
        first: Tensor,
    ) -> Sites:
        """Prepare orbits.

        Args:
            cells: conventional ones and those that the model learns, (n, 3, 3) float64 rows, Å.
            crystal: (O,) int64.
            orbit: (N,) int64.
            operations: rotations (N, 3, 3) and translations (N, 3), from parameters to coordinates in the
                conventional cells.
            first: (O, 3, 3) float64, the rotation of one atom of each orbit.
        """
        conventional, learned = cells
        rotation, translation = operations
        own = crystal[orbit]
        change = (conventional @ torch.linalg.inv(learned))[own]
        projector = site_projectors(conventional[own], rotation)
        metric = first.mT @ (conventional @ conventional.mT)[crystal] @ first
        read = (first != 0).any(1)
        filled = metric + torch.diag_embed((~read).to(metric.dtype))
        root = torch.linalg.inv(torch.linalg.cholesky(filled)) * read[:, None, :]
        length = torch.linalg.det(learned).abs().pow(1.0 / 3.0)[crystal]
        return cls(
            learned,
            orbit,
            crystal,
            rotation.mT @ change,
            (translation[:, :, None] * change).sum(1),
            torch.linalg.inv(change) @ projector.mT,
            root * length[:, None, None],
        )

    def coordinates(self, parameters: Tensor) -> Tensor:
        """Coordinates of the atoms in ``cell``, (N, 3), from parameters of their orbits, (O, 3)."""
        own = parameters.index_select(0, self.orbit)
        return (own[:, :, None] * self.move).sum(1) + self.offset

    def changes(self, displacement: Tensor) -> Tensor:
        """The change of parameters that moves atoms most nearly like that, (N, 3) in ``cell`` -> (O, 3).

        The least-squares solution over the atoms of an orbit, equally weighted, is the mean of their displacements.
        """
        asked = (displacement[:, :, None] * self.read).sum(1)
        return segment_mean(asked, self.orbit, len(self.crystal))


def levels(total: int, steps: int | None) -> list[int]:
    """Steps of the diffusion from T down to 0, evenly spread.

    Args:
        total: T.
        steps: number of steps taken; None for all.

    Raises:
        ConfigError: none, or more than T.
    """
    taken = total if steps is None else steps
    if not 1 <= taken <= total:
        raise ConfigError(f"generator.steps is {steps}: the model has 1 to {total}")
    return [round(total * place / taken) for place in range(taken, -1, -1)]


@torch.no_grad()
def free_crystals(
    model: GemsDiffModel, table: AtomTable, start: Tensor, noise: Noise, steps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Crystals of given atoms (algorithm 2).

    Args:
        model: model on the device of the atoms.
        table: N atoms of n crystals.
        start: (N, 3) float64, uniform coordinates.
        noise: noise for each step, and for the lattices at step T + 1.
        steps: number of steps taken; None for all T.

    Returns:
        Cells (n, 3, 3) A and coordinates (N, 3) in [0, 1), float64.
    """
    process, total = model.process, model.settings.steps
    volume = model.reference_volume(table.atomic_numbers, table.structure_index, table.n_structures)
    positions, lattice = start, noise.lattices(total + 1)
    for now, then in pairwise(levels(total, steps)):
        step, to = (torch.full_like(table.sizes, number) for number in (now, then))
        own = step.index_select(0, table.structure_index), to.index_select(0, table.structure_index)
        cell = process.coordinates.cells(lattice, volume)
        answer = model(table, cell, positions, (step, step), volume)
        path = model.recipe.path(answer, own[0], process)
        clean = model.recipe.lattice_start(answer, lattice, step, process)
        mean, deviation = process.scaling.posterior(lattice, clean, step, to)
        lattice = mean + deviation * noise.lattices(now)
        positions = model.recipe.positions_back(positions, path, own, noise.positions(now), process)
    return process.coordinates.cells(lattice, volume), positions


@torch.no_grad()
def site_parameters(
    model: GemsDiffModel,
    table: AtomTable,
    sites: Sites,
    start: Tensor,
    noise: Noise,
    steps: int | None = None,
) -> Tensor:
    """Free parameters of orbits in given lattices, (O, 3) float64 in [0, 1).

    Args:
        model: model on the device of the atoms.
        table: the atoms of the sites, N of n crystals.
        sites: their O orbits.
        start: (O, 3) float64, uniform parameters.
        noise: noise for each step, of the orbits.
        steps: number of steps taken; None for all T.
    """
    process, parameters = model.process, start
    volume = model.reference_volume(table.atomic_numbers, table.structure_index, table.n_structures)
    for now, then in pairwise(levels(model.settings.steps, steps)):
        step, to = (torch.full_like(table.sizes, number) for number in (now, then))
        # only the recipe `corrected` has seen clean lattices
        held = torch.zeros_like(step) if model.settings.is_corrected else step
        atom_step = step.index_select(0, table.structure_index)
        orbit_steps = step.index_select(0, sites.crystal), to.index_select(0, sites.crystal)
        answer = model(table, sites.cell, sites.coordinates(parameters), (step, held), volume)
        change = sites.changes(model.recipe.path(answer, atom_step, process))
        moved = (noise.positions(now)[:, :, None] * sites.spread).sum(1)
        parameters = model.recipe.positions_back(parameters, change, orbit_steps, moved, process)
    return parameters
