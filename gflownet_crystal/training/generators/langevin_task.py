"""Learning the scores of crystals with noise on the positions of inequivalent atoms and on the lengths of cells.

Sultanov et al., J. Chem. Inf. Model. 63, 6986 (2023), sections 3.1, 4.2 and 4.3: denoising score matching at all
levels, weighted by their variances, so that the target is the noise in units of its deviation. Positions are
learned with the lattice as it is, the lattice with noise on both. Noise far beyond the cell needs no special care: the
best prediction for wrapped positions is the score of the wrapped density.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.site_projectors import site_flats
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.models.langevin.lattice_lengths import (
    FIRST_FIXED_ANGLES,
    equal_lengths,
    stretched,
    to_lengths,
    to_reals,
)
from gflownet_crystal.models.langevin.model import ScoreModel, Sites
from gflownet_crystal.structures.batching import cut_by_atoms, spread
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures, find_space_groups
from gflownet_crystal.training.energies.labelled import Splits
from gflownet_crystal.training.networks import Task

VALIDATION_SEED = 2023
"""Seed of the noise on the validation set, for every seed of the training."""

# shortest cells after noise, A: below, there are thousands of images in reach
_SHORTEST = 1.5


@dataclass(frozen=True)
class LangevinTaskSettings(CheckedFields):
    """Settings of the task of Langevin diffusion.

    Attributes:
        mode: ``spec`` for noise in the free directions of Wyckoff positions, ``paper`` for sites that may be anywhere.
        lattice_weight: weight of the loss on the lattice against that on positions; 0 leaves it out.
        validated: structures that are validated on while training; None for all.
    """

    place = "generator.task"

    mode: Literal["spec", "paper"] = "spec"
    lattice_weight: NonNegative = 0.0
    validated: Count | None = 512


def inequivalent_sites(structures: StructureBatch) -> StructureBatch:
    """One atom of each orbit of crystals, in conventional cells; about 2 ms each.

    Args:
        structures: n structures, in any cell.

    Returns:
        The crystals whose symmetry is found, in their order, with one atom an orbit, exactly on its position.
    """
    grouped = structures[find_space_groups(structures) > 0]
    whole = conventional_structures(grouped)
    found = occupied_positions(whole)
    rows = found.found.nonzero()[:, 0]
    chosen = found.take(rows)
    multiplicity = torch.from_numpy(wyckoff_table().multiplicity.astype("int64"))
    first = (multiplicity.cumsum(0) - multiplicity)[chosen.position]
    flats = site_flats()
    points = (flats.rotation[first] @ chosen.parameters[:, :, None])[:, :, 0] + flats.translation[first]
    return StructureBatch(
        whole.cell[rows], chosen.atomic_number, points, chosen.structure, whole.space_group[rows]
    )


class LangevinTask(Task):
    """Mean squared errors of the noise, in units of its deviation; 1 for a model that says nothing.

    Args:
        model: model on its device.
        splits: data to learn from and to validate on.
        settings: settings of the task.

    Raises:
        DataError: there is nothing to learn.
    """

    def __init__(self, model: ScoreModel, splits: Splits, settings: LangevinTaskSettings) -> None:
        self.model: ScoreModel = model
        self.settings = settings
        self.sites = self._useful(inequivalent_sites(splits.train.structures))
        validated = self._useful(inequivalent_sites(splits.validation.structures))
        if len(self.sites) == 0 or len(validated) == 0:
            raise DataError("no crystal has anything to learn from: give more structures")
        self.validated = validated[spread(len(validated), settings.validated)]
        self.sizes = self.sites.n_atoms

    def _useful(self, sites: StructureBatch) -> StructureBatch:
        """Without crystals whose atoms cannot move, where only positions on their sites are learned."""
        if self.settings.mode == "paper" or self.settings.lattice_weight > 0.0:
            return sites
        free = Sites.on_positions(*_fields(sites), cutoff=_SHORTEST).projector
        moves = torch.zeros(len(sites), dtype=torch.float64)
        if free is not None:
            moves.index_add_(0, sites.structure_index, free.diagonal(dim1=1, dim2=2).sum(1))
        return sites[moves > 0.5]

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch (equations 5 and 6)."""
        clean = self.sites[rows]
        level = torch.randint(self.model.levels.number, (len(clean),), generator=generator)
        sums = self._errors(clean, level, generator)
        losses = {"position": sums["position"][0] / sums["position"][1]}
        if "lattice" in sums:
            losses["lattice"] = self.settings.lattice_weight * sums["lattice"][0] / sums["lattice"][1]
        return losses

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean squared errors over all levels, and of positions at the smallest and the largest noise."""
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        last = self.model.levels.number - 1
        figures: dict[str, float] = {}
        level = torch.arange(len(self.validated)) % (last + 1)
        every = torch.arange(len(self.validated))
        for name, levels in {"": level, "_last": level * 0 + last, "_first": level * 0}.items():
            totals: dict[str, Tensor] = {}
            for rows in cut_by_atoms(every, self.validated.n_atoms, 512):
                sums = self._errors(self.validated[rows], levels[rows], generator)
                for key, value in sums.items():
                    totals[key] = totals.get(key, 0.0) + torch.stack(value).double().cpu()
            figures |= {f"{key}{name}": float(error / count) for key, (error, count) in totals.items()}
        return figures

    def _errors(
        self, clean: StructureBatch, level: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Sums of squared errors, and how many numbers they are of."""
        device = self.model.device
        noise = torch.randn(len(clean.fractional), 3, generator=generator, dtype=torch.float64).to(device)
        strain = torch.randn(len(clean), 3, generator=generator, dtype=torch.float64).to(device)
        clean, level = clean.to(device), level.to(device)
        owner = clean.structure_index
        sites = self._sites(clean, clean.cell, fixed=True)
        if sites.projector is not None:
            noise = (noise[:, None] @ sites.projector)[:, 0]
        deviation = self.model.levels.positions().to(device)[level][owner][:, None]
        shift = ((deviation * noise)[:, None] @ torch.linalg.inv(clean.cell)[owner])[:, 0]
        noisy = clean.fractional + shift
        seen = self.model(sites, noisy, clean.cell, level).positions
        free = noise.new_tensor(float(noise.numel()))
        if sites.projector is not None:
            free = sites.projector.diagonal(dim1=1, dim2=2).sum().clamp(min=1.0)
        sums = {"position": ((seen - noise).square().sum(), free)}
        if self.settings.lattice_weight > 0.0:
            sums["lattice"] = self._lattice_errors(clean, noisy, level, strain)
        return sums

    def _lattice_errors(
        self, clean: StructureBatch, noisy: Tensor, level: Tensor, strain: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same for the lattice, of crystals whose angles are fixed."""
        sources = equal_lengths(clean.space_group)
        strain = strain.gather(1, sources)
        deviation = self.model.levels.lattice().to(level.device)[level][:, None]
        start = to_reals(clean.cell.norm(dim=2))
        reals = (start + deviation * strain).clamp(min=float(to_reals(torch.tensor(_SHORTEST))))
        cell = stretched(clean.cell, to_lengths(reals))
        sites = self._sites(clean, cell, fixed=False)
        seen = self.model(sites, noisy, cell, level).lattice
        # each length that is free counts once
        counts = (sources == torch.arange(3, device=sources.device)).double()
        counts = counts * (clean.space_group >= FIRST_FIXED_ANGLES)[:, None]
        target = (reals - start) / deviation
        return ((seen - target).square() * counts).sum(), counts.sum().clamp(min=1.0)

    def _sites(self, clean: StructureBatch, cell: Tensor, fixed: bool) -> Sites:
        cutoff = self.model.cutoff
        group, numbers, points, owner = _fields(clean)[1:]
        if self.settings.mode == "spec":
            return Sites.on_positions(cell, group, numbers, points, owner, cutoff, fixed)
        return Sites.anywhere(cell, group, numbers, owner, cutoff)


def _fields(sites: StructureBatch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return sites.cell, sites.space_group, sites.atomic_numbers, sites.fractional, sites.structure_index
