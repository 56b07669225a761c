"""The two recipes of GemsDiff: training targets of positions and lattices, and the reverse step.

How they differ is said in :class:`~gflownet_crystal.models.gemsdiff.settings.GemsDiffSettings`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.models.gemsdiff.lattice_diffusion import LatticeBasis, LatticeCoordinates
from gflownet_crystal.models.gemsdiff.network import Answer
from gflownet_crystal.models.gemsdiff.noise_schedules import (
    VarianceExploding,
    VariancePreserving,
    linear_betas,
)
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.models.gemsdiff.torus_diffusion import TorusDiffusion, mean_path, shortest_path, wrapped


class Process(NamedTuple):
    """Diffusion processes of positions and lattice.

    Attributes:
        torus: positions.
        scaling: lattices.
        coordinates: in which lattices are diffused.
        path_scale: (T + 1,) float64, size of the mean ways back at each step.
        parameter_mean: (6,) float64, of the training set's lattice parameters, Å and degrees.
        parameter_deviation: (6,) float64.
    """

    torus: TorusDiffusion
    scaling: VariancePreserving
    coordinates: LatticeCoordinates
    path_scale: Tensor
    parameter_mean: Tensor
    parameter_deviation: Tensor


class Sights(NamedTuple):
    """Noisy inputs of the network for n crystals with N atoms, and the true values.

    Attributes:
        position_step: (N,) int64, of the atoms.
        lattice_step: (n,) int64.
        noisy_positions: (N, 3) float64.
        positions: (N, 3) float64, clean.
        lattice_noise: (n, 6) float64, standard normal.
        lattice: (n, 6) float64, clean coordinates.
        cell: (n, 3, 3) float64, clean, Å.
    """

    position_step: Tensor
    lattice_step: Tensor
    noisy_positions: Tensor
    positions: Tensor
    lattice_noise: Tensor
    lattice: Tensor
    cell: Tensor


class Recipe(ABC):
    """Targets of the network and steps of the reverse process, without state."""

    @abstractmethod
    def schedule(self, settings: GemsDiffSettings) -> VarianceExploding:
        """Variances of the noise on positions."""

    @abstractmethod
    def basis(self) -> LatticeBasis:
        """Of the symmetric matrices."""

    @abstractmethod
    def is_centred(self) -> bool:
        """Whether lattices are measured by their elements' volume and the training set."""

    @abstractmethod
    def losses(self, answer: Answer, sights: Sights, process: Process) -> dict[str, Tensor]:
        """() losses by name."""

    @abstractmethod
    def path(self, answer: Answer, step: Tensor, process: Process) -> Tensor:
        """Ways back of the positions, (N, 3) float64 fractional; ``step`` is that of the atoms, (N,)."""

    @abstractmethod
    def lattice_start(self, answer: Answer, noisy: Tensor, step: Tensor, process: Process) -> Tensor:
        """Coordinates of the clean lattices, (n, 6) float64, from the noisy ones at their steps (n,)."""

    @abstractmethod
    def positions_back(
        self, noisy: Tensor, path: Tensor, steps: tuple[Tensor, Tensor], noise: Tensor, process: Process
    ) -> Tensor:
        """x_s of positions from x_t, ways back and noise, (N, d) each; ``steps`` are t and s of the atoms, (N,)."""


class PaperRecipe(Recipe):
    """Klipfel et al., AAAI 2024."""

    def schedule(self, settings: GemsDiffSettings) -> VarianceExploding:
        """v_t = 1 - abar_t with linear betas (equation 16, table 1)."""
        return VarianceExploding.of(
            linear_betas(settings.position_first, settings.position_last, settings.steps)
        )

    def basis(self) -> LatticeBasis:
        """Appendix B."""
        return LatticeBasis.printed()

    def is_centred(self) -> bool:
        """Never."""
        return False

    def losses(self, answer: Answer, sights: Sights, process: Process) -> dict[str, Tensor]:
        """Equation 20, and equation 15 between the predicted and the clean cell."""
        way = shortest_path(sights.noisy_positions, sights.positions)
        error = answer.displacement - way.to(answer.displacement.dtype)
        parameters = [
            torch.cat(matrix_to_parameters(cell.double()), 1) for cell in (answer.action, sights.cell)
        ]
        difference = (parameters[0] - parameters[1]) / process.parameter_deviation
        # the root's slope is infinite at 0
        distance = (difference.square().sum(1) + 1e-12).sqrt()
        return {"position": error.square().sum(1).mean(), "lattice": distance.mean()}

    def path(self, answer: Answer, step: Tensor, process: Process) -> Tensor:
        """The displacement as it is."""
        return answer.displacement.double()

    def lattice_start(self, answer: Answer, noisy: Tensor, step: Tensor, process: Process) -> Tensor:
        """The logarithm of the cell that the unit cube was turned into."""
        cell = answer.action.double()
        return process.coordinates.of_cells(cell, torch.ones_like(cell[:, 0, 0]))

    def positions_back(
        self, noisy: Tensor, path: Tensor, steps: tuple[Tensor, Tensor], noise: Tensor, process: Process
    ) -> Tensor:
        """Algorithm 2, line 5: all the way, and noise of beta tilde."""
        variance = process.torus.schedule.variance
        deviation = VariancePreserving(1.0 - variance).deviation(*steps)
        return wrapped(noisy + path + deviation[:, None] * noise)


class CorrectedRecipe(Recipe):
    """The recipe of the paper with its weaknesses corrected."""

    def schedule(self, settings: GemsDiffSettings) -> VarianceExploding:
        """Deviations in a geometric row up to where the law on the torus is uniform."""
        return VarianceExploding.geometric(settings.position_first, settings.position_last, settings.steps)

    def basis(self) -> LatticeBasis:
        """Orthonormal; scales come from the training set."""
        return LatticeBasis.orthonormal()

    def is_centred(self) -> bool:
        """Always."""
        return True

    def losses(self, answer: Answer, sights: Sights, process: Process) -> dict[str, Tensor]:
        """Mean squared errors of the scores of positions and the velocities of lattices, in units of their sizes."""
        step, dtype = sights.position_step, answer.displacement.dtype
        way = shortest_path(sights.noisy_positions, sights.positions)
        variance = process.torus.schedule.variance[step][:, None]
        wanted = mean_path(way, variance) / process.path_scale[step][:, None]
        error = answer.displacement - wanted.to(dtype)
        velocity = process.scaling.velocity(sights.lattice, sights.lattice_step, sights.lattice_noise)
        wrong = (_velocity(answer, process) - velocity).square().mean(1)
        noisy = (sights.lattice_step > 0).to(wrong.dtype)
        lattice = (wrong * noisy).sum() / noisy.sum().clamp(min=1.0)
        return {"position": error.square().mean(), "lattice": lattice}

    def path(self, answer: Answer, step: Tensor, process: Process) -> Tensor:
        """The answer is in units of the mean way's size."""
        return answer.displacement.double() * process.path_scale[step][:, None]

    def lattice_start(self, answer: Answer, noisy: Tensor, step: Tensor, process: Process) -> Tensor:
        """From the velocity."""
        return process.scaling.start_from_velocity(noisy, step, _velocity(answer, process))

    def positions_back(
        self, noisy: Tensor, path: Tensor, steps: tuple[Tensor, Tensor], noise: Tensor, process: Process
    ) -> Tensor:
        """The posterior's share of the way, and its noise."""
        return process.torus.step_back(noisy, path, *steps, noise)


RECIPES: dict[str, Recipe] = {"corrected": CorrectedRecipe(), "paper": PaperRecipe()}


def _velocity(answer: Answer, process: Process) -> Tensor:
    """The generator of the decoder's action in the basis, (n, 6) float64."""
    generator = answer.action - torch.eye(3, dtype=answer.action.dtype, device=answer.action.device)
    return process.coordinates.basis.coordinates(generator.double())
