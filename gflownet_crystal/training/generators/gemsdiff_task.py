"""Learning to go back from noise to crystals: GemsDiff's losses on noisy positions and lattices.

Klipfel et al., "Vector field oriented diffusion model for crystal material generation", AAAI 2024, algorithm 1. All
steps t = 1 ... T are trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative
from gflownet_crystal.models.gemsdiff.lattice_diffusion import N_COORDINATES
from gflownet_crystal.models.gemsdiff.learned_cells import in_learned_cells
from gflownet_crystal.models.gemsdiff.model import Draws, GemsDiffModel
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.structures.batching import batches_of_atoms, spread
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.labelled import Splits
from gflownet_crystal.training.networks import Task

VALIDATION_SEED = 2024
"""Seed of the noise on the validation set, for every seed of the training."""


@dataclass(frozen=True)
class DiffusionSettings(CheckedFields):
    """Settings of the diffusion task.

    Attributes:
        position_weight: weight of the loss on positions.
        lattice_weight: weight of the loss on lattices.
        validated: structures that are validated on while training; None for all.
        validation_atoms: number of atoms of a batch in validation.
    """

    place = "generator.task"

    position_weight: NonNegative = 1.0
    lattice_weight: NonNegative = 1.0
    validated: Count | None = 1024
    validation_atoms: Count = 512


def draw(structures: StructureBatch, settings: GemsDiffSettings, generator: torch.Generator) -> Draws:
    """Steps and noise for n structures.

    In the paper's recipe positions and lattice share their step; in ``corrected`` each has its own, and part of the
    lattices have none.

    Args:
        structures: n structures, on the CPU.
        settings: settings of the model.
        generator: random generator on the CPU.
    """
    n = len(structures)
    steps = torch.randint(1, settings.steps + 1, (2, n), generator=generator)
    held = torch.rand(n, generator=generator) < settings.held
    lattice_step = steps[1].masked_fill(held, 0) if settings.is_corrected else steps[0]
    positions = torch.randn(structures.fractional.shape, generator=generator, dtype=torch.float64)
    lattices = torch.randn((n, N_COORDINATES), generator=generator, dtype=torch.float64)
    return Draws(steps[0], lattice_step, positions, lattices)


class GemsDiffTask(Task):
    """Losses of positions and lattices, logged apart.

    Args:
        model: model on its device.
        splits: data to learn from and to validate on.
        settings: settings of the task.
        is_new: whether the model's statistics of a training set are to be set; those of earlier weights stay.
    """

    def __init__(
        self, model: GemsDiffModel, splits: Splits, settings: DiffusionSettings, is_new: bool = True
    ) -> None:
        self.model: GemsDiffModel = model
        self.settings = settings
        self.structures = in_learned_cells(splits.train.structures)
        self.sizes = self.structures.n_atoms
        if is_new:
            model.fit(self.structures)
        validation = in_learned_cells(splits.validation.structures)
        self.validation = validation[spread(len(validation), settings.validated)]

    @property
    def device(self) -> torch.device:
        """Of the model."""
        return self.model.element_volume.device

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted losses of a batch."""
        losses = self._losses(self.structures[rows], generator)
        weights = {"position": self.settings.position_weight, "lattice": self.settings.lattice_weight}
        return {name: weights[name] * loss for name, loss in losses.items()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Losses on the validation set without weights, always with the same steps and noise."""
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        sums: dict[str, float] = {}
        for rows in batches_of_atoms(self.validation.n_atoms, self.settings.validation_atoms):
            for name, loss in self._losses(self.validation[rows], generator).items():
                sums[name] = sums.get(name, 0.0) + float(loss) * len(rows)
        figures = {name: value / len(self.validation) for name, value in sums.items()}
        return {**figures, "loss": sum(figures.values())}

    def _losses(self, structures: StructureBatch, generator: torch.Generator) -> dict[str, Tensor]:
        drawn = draw(structures, self.model.settings, generator)
        on_device = Draws(*(tensor.to(self.device) for tensor in drawn))
        return self.model.losses(structures.to(self.device), on_device)
