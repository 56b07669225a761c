"""Training of denoisers: crystals from noisy positions without a lattice, or the lattice alone from clean positions.

Klipfel et al., "Unified model for crystal material generation", IJCAI 2023, section 5. The lattice to find is that of
the cell as its source stores it (MP-20: a primitive one, not always reduced). The crystal's other cells count as wrong:
the fractional positions that are given belong to this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Bounds, Count, NonNegative, ShareBelowOne
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.structures.batching import spread
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.denoising_noise import (
    lattice_parameters,
    noisy_cubes,
    way_back,
    without_mean,
)
from gflownet_crystal.training.energies.labelled import Splits
from gflownet_crystal.training.networks import Task

VALIDATION_SEED = 2023
"""Seed of the noise on the validation set, for every seed of the training."""


@dataclass(frozen=True)
class DenoisingSettings(CheckedFields):
    """Settings of the denoising task.

    Attributes:
        task: ``denoise``, or ``lattice`` for the lattice alone from clean positions.
        noise: standard deviation of each fractional coordinate.
        clean_share: share of the structures that are shown without noise while training; 0 in the paper.
        position_weight: weight of the loss on positions against that on the lattice; 1 in the paper.
        length_weight: weight of each length of the lattice against each angle; 1 in the paper.
        centred: whether displacements are learned less their mean over a structure, which is not observable; false in
            the paper. The best prediction is the same, and the loss is less noisy.
        validated: structures that are validated on while training; None for all.
    """

    place = "denoising"

    task: Literal["denoise", "lattice"] = "denoise"
    noise: Annotated[float, Bounds(above=0, below=0.5)] = 0.05
    clean_share: ShareBelowOne = 0.0
    position_weight: NonNegative = 10.0
    length_weight: NonNegative = 1.0
    centred: bool = True
    validated: Count | None = None

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that this task draws."""
        return self.noise if self.task == "denoise" else 0.0


@dataclass(frozen=True)
class Puzzles:
    """n crystals, and how a denoiser is shown them.

    Attributes:
        clean: n structures with N atoms.
        shown: the same, with noise and in cubes of 1 Å.
        way: (N, 3) float64, from the positions shown to the clean ones.
    """

    clean: StructureBatch
    shown: StructureBatch
    way: Tensor

    @classmethod
    def of(cls, clean: StructureBatch, sigma: float, seed: int = VALIDATION_SEED) -> Puzzles:
        """With noise that depends on the structures and the seed only."""
        return cls(clean, *noisy_cubes(clean, sigma, torch.Generator().manual_seed(seed)))

    def first(self, n: int) -> Puzzles:
        """n of the structures, spread evenly, with the noise they have among all."""
        rows = spread(len(self.clean), n)
        chosen = torch.isin(self.clean.structure_index, rows)
        return Puzzles(self.clean[rows], self.shown[rows], self.way[chosen])


class DenoisingTask(Task):
    """Mean absolute errors of displacements (fractional) and of standardised lattice parameters.

    Args:
        model: model on its device; its elements' volumes are set from the training set.
        splits: data to learn from and to validate on.
        settings: settings of the task.
        half: bfloat16 in validation too.
    """

    def __init__(
        self, model: Denoiser, splits: Splits, settings: DenoisingSettings, half: bool = False
    ) -> None:
        self.model: Denoiser = model
        self.structures, self.settings, self.half = splits.train.structures, settings, half
        self.sizes = self.structures.n_atoms
        self.parameters = lattice_parameters(self.structures.cell)
        self.mean = self.parameters.mean(0)
        # lower bound of the scales, which identical crystals would make zero
        deviation = self.parameters.std(0, correction=0).clamp(min=1e-2)
        self.weights = torch.tensor([settings.length_weight] * 3 + [1.0] * 3) / deviation
        model.fit_volumes(self.structures)
        puzzles = Puzzles.of(splits.validation.structures, settings.sigma)
        self.validated = puzzles if settings.validated is None else puzzles.first(settings.validated)
        self.device = model.element_volume.device

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch after one of the passes: equations 20 and 21, lattice parameters standardised."""
        clean, passes = self.structures[rows], self.model.settings.passes
        shown, way = noisy_cubes(clean, self._deviations(len(rows), generator), generator)
        shown, way = self.model.begun(shown.to(self.device)), way.to(self.device)
        if passes > 1:
            shown, _ = self.model.passed(shown, int(torch.randint(passes, (), generator=generator)))
            way = way_back(shown.fractional, clean.fractional.to(self.device))
        action = self.model(self.model.graph(shown))
        losses = {"lattice": self._lattice_loss(action.cell, self.parameters[rows])}
        if self.settings.task == "denoise":
            way = without_mean(way, shown) if self.settings.centred else way
            error = (action.displacement - way.to(action.displacement.dtype)).abs().mean()
            losses["position"] = self.settings.position_weight * error
        return losses

    def _deviations(self, n: int, generator: torch.Generator) -> float | Tensor:
        """Standard deviation of the noise of each of n structures."""
        sigma, share = self.settings.sigma, self.settings.clean_share
        if share == 0.0:
            return sigma
        return sigma * (torch.rand(n, generator=generator) >= share).double()

    def _lattice_loss(self, cell: Tensor, wanted: Tensor) -> Tensor:
        error = lattice_parameters(cell) - wanted.to(cell.device, cell.dtype)
        return (error * self.weights.to(cell.device, cell.dtype)).abs().mean()

    def validate(self) -> dict[str, float]:
        """The figures of :func:`reconstruction_figures`."""
        return reconstruction_figures(self.model, self.validated, self.half)

    def baselines(self, puzzles: Puzzles) -> dict[str, dict[str, float]]:
        """Losses reached without a network.

        Returns:
            For the mean of the training lattices, for cubes of the elements' volume, for atoms left where they are, and
            for atoms at their places but for the translation of the crystal, which cannot be known.
        """
        wanted = lattice_parameters(puzzles.clean.cell)
        volume = torch.zeros(len(puzzles.clean), dtype=torch.float64)
        volume.index_add_(
            0,
            puzzles.clean.structure_index,
            self.model.element_volume.cpu().double()[puzzles.clean.atomic_numbers],
        )
        cube = torch.cat([volume[:, None].expand(-1, 3) ** (1 / 3), torch.full_like(wanted[:, 3:], 90.0)], 1)
        found = {
            "mean_lattice": _lattice_figures(self.mean.expand_as(wanted), wanted),
            "volume_cube": _lattice_figures(cube, wanted),
        }
        if self.settings.task == "denoise":
            known = without_mean(puzzles.way, puzzles.clean)
            found["unmoved"] = {"pos": _mean_norm(puzzles.way), "pos_centred": _mean_norm(known)}
            found["perfect_but_translation"] = {"pos": _mean_norm(puzzles.way - known)}
        return found


def reconstruction_figures(model: Denoiser, puzzles: Puzzles, half: bool = False) -> dict[str, float]:
    """Errors of crystals made again (equations 23 to 25).

    Args:
        model: model on its device.
        puzzles: clean structures and their noisy versions.
        half: bfloat16 for the matrix products.

    Returns:
        Mean absolute errors of lengths (Å) and angles (degrees); and, if there is noise, the mean distance between
        atoms and where they belong: as fractional coordinates (pos), in Å (pos_angstrom), and fractional without the
        translation of the crystal as a whole (pos_centred).
    """
    action = model.actions(puzzles.shown.to(model.element_volume.device), half=half)
    clean = puzzles.clean
    found = _lattice_figures(lattice_parameters(action.cell.cpu()), lattice_parameters(clean.cell))
    if puzzles.way.any():
        miss = action.displacement.cpu() - puzzles.way
        in_angstrom = (miss[:, :, None] * clean.cell[clean.structure_index]).sum(1)
        found |= {
            "pos": _mean_norm(miss),
            "pos_angstrom": _mean_norm(in_angstrom),
            "pos_centred": _mean_norm(without_mean(miss, clean)),
        }
    return found


def _lattice_figures(parameters: Tensor, wanted: Tensor) -> dict[str, float]:
    lengths, angles = (parameters - wanted).abs().split(3, dim=1)
    return {"lengths": float(lengths.mean()), "angles": float(angles.mean())}


def _mean_norm(vectors: Tensor) -> float:
    return float(vectors.norm(dim=1).mean())
