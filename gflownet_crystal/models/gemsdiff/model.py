"""GemsDiff: diffusion of positions on the torus and of lattices in the exponential basis.

Klipfel et al., "Vector field oriented diffusion model for crystal material generation", AAAI 2024. In the paper,
equation 15 compares the predicted cell with the posterior's mean, but algorithm 2 puts the prediction in the place of
x_0 of that same mean. Here it is x_0 in both, as in equation 14.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.lattice_diffusion import N_COORDINATES, LatticeBasis, LatticeCoordinates
from gflownet_crystal.models.gemsdiff.network import Answer, GemsDiffNetwork, NoisyCrystals
from gflownet_crystal.models.gemsdiff.noise_schedules import (
    VarianceExploding,
    VariancePreserving,
    linear_betas,
)
from gflownet_crystal.models.gemsdiff.recipes import RECIPES, Process, Sights
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings, present_values
from gflownet_crystal.models.gemsdiff.torus_diffusion import TorusDiffusion, path_scale
from gflownet_crystal.models.layers.element_values import fitted_volumes
from gflownet_crystal.models.layers.scatter import segment_sum
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "gemsdiff"
"""Kind of the weights."""

_USUAL_VOLUME = 15.0
_LEAST_SCALE = 1e-2
# A and degrees: lower bound of the scales, which identical crystals would make zero
_LEAST_DEVIATION = 0.5


class Draws(NamedTuple):
    """Steps and noise of n crystals with N atoms.

    Attributes:
        position_step: (n,) int64, 1 to T.
        lattice_step: (n,) int64, 1 to T, or 0 where the lattice is clean.
        position_noise: (N, 3) float64, standard normal.
        lattice_noise: (n, 6) float64, standard normal.
    """

    position_step: Tensor
    lattice_step: Tensor
    position_noise: Tensor
    lattice_noise: Tensor


class GemsDiffModel(nn.Module):
    """The network, its recipe, its schedules and the coordinates of lattices.

    Args:
        settings: sizes and parts.
        seed: random seed of the initial weights.
    """

    element_volume: Tensor
    lattice_centre: Tensor
    lattice_scale: Tensor
    parameter_mean: Tensor
    parameter_deviation: Tensor
    variance: Tensor
    kept: Tensor
    path_scale: Tensor
    basis_matrices: Tensor

    def __init__(self, settings: GemsDiffSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings, self.recipe = settings, RECIPES[settings.recipe]
        self.network = GemsDiffNetwork(settings, seed)
        numbers = torch.zeros(N_COORDINATES, dtype=torch.float64)
        volumes = torch.full((N_ATOMIC_NUMBERS,), _USUAL_VOLUME, dtype=torch.float64)
        fitted = {"element_volume": volumes, "lattice_centre": numbers, "lattice_scale": numbers + 1.0,
                  "parameter_mean": numbers, "parameter_deviation": numbers + 1.0}  # fmt: skip
        for name, value in fitted.items():
            self.register_buffer(name, value.clone())
        betas = linear_betas(settings.lattice_first, settings.lattice_last, settings.steps)
        variance = self.recipe.schedule(settings).variance
        fixed = {"variance": variance, "kept": VariancePreserving.of(betas).kept, "path_scale": path_scale(variance),
                 "basis_matrices": self.recipe.basis().matrices}  # fmt: skip
        for name, value in fixed.items():
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def from_weights(cls, weights: str | Path) -> Self:
        """A trained model, on the CPU.

        Args:
            weights: name of shipped weights, or a ``.safetensors`` file.

        Raises:
            WeightsError: there are none, or they are of another kind or do not fit their card.
        """
        tensors, card = load_weights(weights, KIND)
        with fitting_card(weights):
            values = card["network"]["settings"]
            model = cls(settings_from(GemsDiffSettings, present_values(values), "network.settings"))
            model.load_state_dict(tensors)
        return model.eval()

    @property
    def process(self) -> Process:
        """Diffusion processes, on the model's device."""
        basis = LatticeBasis(self.basis_matrices)
        return Process(
            TorusDiffusion(VarianceExploding(self.variance)),
            VariancePreserving(self.kept),
            LatticeCoordinates(basis, self.lattice_centre, self.lattice_scale),
            self.path_scale,
            self.parameter_mean,
            self.parameter_deviation,
        )

    @torch.no_grad()
    def fit(self, structures: StructureBatch) -> None:
        """Set the statistics of the training set.

        Args:
            structures: the training set, with the cells that are learned.
        """
        parameters = torch.cat(matrix_to_parameters(structures.cell), dim=1)
        self.parameter_mean.copy_(parameters.mean(0))
        self.parameter_deviation.copy_(parameters.std(0, correction=0).clamp(min=_LEAST_DEVIATION))
        if not self.recipe.is_centred():
            return
        self.element_volume.copy_(fitted_volumes(structures))
        self.lattice_centre.zero_()
        self.lattice_scale.fill_(1.0)
        plain = self.lattice_coordinates(structures.to(self.variance.device))
        self.lattice_centre.copy_(plain.mean(0))
        self.lattice_scale.copy_(plain.std(0, correction=0).clamp(min=_LEAST_SCALE))

    def reference_volume(self, atomic_numbers: Tensor, structure_index: Tensor, n: int) -> Tensor:
        """Volumes of the decoder's cubes, which lattices are measured by, (n,) float64, Å^3.

        Args:
            atomic_numbers: (N,) int64.
            structure_index: (N,) int64.
            n: number of structures.
        """
        if not self.recipe.is_centred():
            return self.element_volume.new_ones(n)
        return segment_sum(self.element_volume[atomic_numbers], structure_index, n)

    def lattice_coordinates(self, structures: StructureBatch) -> Tensor:
        """Coordinates of the lattices of structures on the model's device, (n, 6) float64."""
        volume = self.reference_volume(structures.atomic_numbers, structures.structure_index, len(structures))
        return self.process.coordinates.of_cells(structures.cell, volume)

    def forward(
        self, table: AtomTable, cell: Tensor, fractional: Tensor, steps: tuple[Tensor, Tensor], volume: Tensor
    ) -> Answer:
        """The network's answer.

        Args:
            table: N atoms of n structures.
            cell: (n, 3, 3) float64 rows, Å.
            fractional: (N, 3) float64.
            steps: number of steps of positions and of lattices, (n,) int64 each.
            volume: (n,) float64, of :meth:`reference_volume`.
        """
        crystals = NoisyCrystals(table, cell, fractional, *steps, volume.pow(1.0 / 3.0))
        answer: Answer = self.network(crystals)
        return answer

    def losses(self, structures: StructureBatch, draws: Draws) -> dict[str, Tensor]:
        """() losses by name.

        Args:
            structures: n clean ones on the model's device.
            draws: steps and noise.
        """
        process, index = self.process, structures.structure_index
        table = AtomTable.of_structures(structures, self.settings.neighbours)
        volume = self.reference_volume(structures.atomic_numbers, index, len(structures))
        clean = process.coordinates.of_cells(structures.cell, volume)
        atom_step = draws.position_step[index]
        fractional = process.torus.marginal(structures.fractional, atom_step, draws.position_noise)
        noisy = process.scaling.marginal(clean, draws.lattice_step, draws.lattice_noise)
        cell = process.coordinates.cells(noisy, volume)
        answer = self(table, cell, fractional, (draws.position_step, draws.lattice_step), volume)
        sights = Sights(
            atom_step,
            draws.lattice_step,
            fractional,
            structures.fractional,
            draws.lattice_noise,
            clean,
            structures.cell,
        )
        return self.recipe.losses(answer, sights, process)
