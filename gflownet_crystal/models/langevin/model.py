"""Scores of crystals with noise on the positions of their inequivalent atoms and on the lengths of their cells.

Sultanov et al., J. Chem. Inf. Model. 63, 6986 (2023). A model predicts the noise in units of
its deviation sigma, so its score is minus the prediction over sigma. Where the paper leaves a choice:

- Its lattice score is printed as Delta L3 / sigma, for an estimate Delta L3 of the noise. The score of a Gaussian is
  minus the noise over sigma^2, so the sum over edges is read here as the noise in units of sigma.
- One network with two numbers an edge serves positions and lattice. Edges back to the sender of a message count like
  the others.
- Images of a site nearer than 0.3 Å to each other, which the paper merges after the sampling, are one atom for the
  graph as well, at their middle: noise would else fill the neighbourhood of each special position with copies.
- Lengths that the lattice system makes equal get one noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.bounds import Count, NonNegative, Positive, Several
from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.models.langevin.dimenet_edges import DimeNetEdges
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.lattice_lengths import equal_lengths, length_gradients, mean_change
from gflownet_crystal.models.layers.bases import polynomial_envelope
from gflownet_crystal.structures.symmetry_images import SiteSymmetry
from gflownet_crystal.structures.symmetry_multigraph import MultigraphPlan, SymmetryMultigraph
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "langevin"
"""Kind of the weights."""

COINCIDING = 1e-3
"""Å; images of a site on its position are nearer than this, other atoms are not."""

MERGED = 0.3
"""Å; where sites may be anywhere, images nearer than this are one atom (section 4.2)."""


@dataclass(frozen=True)
class NoiseLevels(CheckedFields):
    """Deviations of the noise, evenly spaced in their logarithms.

    Attributes:
        number: number of levels, F.
        first: largest noise of positions, Å.
        last: smallest noise of positions, Å.
        first_variance: largest variance of L3, Å^2.
        last_variance: smallest variance of L3, Å^2.

    Raises:
        ConfigError: levels do not decrease, or there are fewer than two.
    """

    place = "levels"

    number: Several = 10
    first: float = 6.0
    last: float = 0.03
    first_variance: float = 36.0
    last_variance: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.first > self.last > 0.0 and self.first_variance > self.last_variance > 0.0):
            raise ConfigError("levels have to fall, from first to last, and to stay above zero")

    def positions(self) -> Tensor:
        """Deviations of Cartesian positions, (F,) float64, Å, falling."""
        return _log_spaced(self.first, self.last, self.number)

    def lattice(self) -> Tensor:
        """Deviations of L3, (F,) float64, Å, falling."""
        return _log_spaced(self.first_variance, self.last_variance, self.number).sqrt()


def _log_spaced(first: float, last: float, number: int) -> Tensor:
    ends = torch.tensor([first, last], dtype=torch.float64).log()
    share = torch.linspace(0.0, 1.0, number, dtype=torch.float64)
    return torch.lerp(ends[0], ends[1], share).exp()


def step_sizes(deviations: Tensor, rate: float) -> Tensor:
    """epsilon_k = gamma sigma_k^2 / sigma_F^2 (section 4), (F,) deviations and gamma -> (F,)."""
    return rate * (deviations / deviations[-1]).square()


def langevin_step(state: Tensor, score: Tensor, size: Tensor, noise: Tensor, factor: float = 1.0) -> Tensor:
    """One step of equation 7: state + size / 2 score + factor sqrt(size) noise; factor 1 samples the density itself."""
    return state + 0.5 * size * score + factor * size.sqrt() * noise


@dataclass(frozen=True)
class Sites:
    """N inequivalent atoms of n structures, with all that stays as they move.

    Attributes:
        atomic_numbers: (N,) int64.
        plan: plan of the multigraph.
        sources: (n, 3) int64, see :func:`~gflownet_crystal.models.langevin.lattice_lengths.equal_lengths`.
        projector: (N, 3, 3), onto the free directions of each site, for row vectors in Å; None where sites may be
            anywhere and near images are merged.
    """

    atomic_numbers: Tensor
    plan: MultigraphPlan
    sources: Tensor
    projector: Tensor | None

    @property
    def structure_index(self) -> Tensor:
        """The structure of each site, (N,) int64."""
        return self.plan.symmetry.structure_index

    @classmethod
    def on_positions(
        cls,
        cell: Tensor,
        space_group: Tensor,
        atomic_numbers: Tensor,
        fractional: Tensor,
        structure_index: Tensor,
        cutoff: float,
        fixed: bool = True,
    ) -> Sites:
        """Graph inputs of atoms constrained to their Wyckoff positions.

        Args:
            cell: (n, 3, 3) float64 conventional, Å.
            space_group: (n,) int64.
            atomic_numbers: (N,) int64.
            fractional: (N, 3) float64, a general point of each position.
            structure_index: (N,) int64, not decreasing.
            cutoff: cutoff of edges, Å.
            fixed: whether the lattice stays as it is.
        """
        symmetry = SiteSymmetry.of(cell, space_group, structure_index)
        stabiliser = symmetry.coincidences(fractional, cell, COINCIDING)[0]
        images = symmetry.first_of_coinciding(stabiliser)
        plan = MultigraphPlan.of(symmetry, cell, cutoff, images, fixed)
        return cls(atomic_numbers, plan, equal_lengths(space_group), symmetry.projectors(stabiliser, cell))

    @classmethod
    def anywhere(
        cls, cell: Tensor, space_group: Tensor, atomic_numbers: Tensor, structure_index: Tensor, cutoff: float
    ) -> Sites:
        """Sites that move freely, in lattices that may move too; see :meth:`on_positions`."""
        symmetry = SiteSymmetry.of(cell, space_group, structure_index)
        plan = MultigraphPlan.of(symmetry, cell, cutoff, fixed=False)
        return cls(atomic_numbers, plan, equal_lengths(space_group), None)

    def graph(self, fractional: Tensor, cell: Tensor, neighbours: int) -> SymmetryMultigraph:
        """The multigraph for given positions (N, 3) and lattices (n, 3, 3), without host round trips."""
        if self.projector is not None:
            return self.plan.graph(fractional, cell, neighbours)
        ends, active = self.plan.symmetry.merged(fractional, cell, MERGED)
        return self.plan.graph(fractional, cell, neighbours, ends, active, MERGED)


class Noise(NamedTuple):
    """The noise that a model sees, in units of its deviation: scores are minus these over the deviation.

    Attributes:
        positions: (N, 3) Cartesian, in the free directions of each site.
        lattice: (n, 3) of L3; equal where lengths have to be.
    """

    positions: Tensor
    lattice: Tensor


class ScoreModel(nn.Module):
    """Noise predicted from numbers on edges: along the edges for positions, by their strain for the lattice.

    Args:
        settings: settings of the network; the fast ones if None.
        levels: levels of the noise.
        seed: random seed of the initial weights.
    """

    def __init__(
        self, settings: DimeNetSettings | None = None, levels: NoiseLevels | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.network = DimeNetEdges(settings, 2, seed)
        self.levels = NoiseLevels() if levels is None else levels

    @classmethod
    def from_weights(cls, weights: str | Path, mode: str) -> Self:
        """A trained model, on the CPU.

        Args:
            weights: name of shipped weights, or a ``.safetensors`` file.
            mode: ``spec`` or ``paper``, that the model was trained in.

        Raises:
            WeightsError: there are none, or they are of another kind or mode.
        """
        tensors, card = load_weights(weights, KIND)
        if card.get("mode") != mode:
            raise WeightsError(
                f"weights {str(weights)!r} were trained for mode {card.get('mode')}, not {mode}"
            )
        with fitting_card(weights):
            settings = settings_from(DimeNetSettings, card["network"]["settings"])
            model = cls(settings, settings_from(NoiseLevels, card["levels"], "levels"))
            model.load_state_dict(tensors)
        return model.eval()

    @property
    def cutoff(self) -> float:
        """Longest edge, Å."""
        return self.network.settings.cutoff

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.network.learned.device

    def forward(self, sites: Sites, fractional: Tensor, cell: Tensor, level: Tensor) -> Noise:
        """The noise seen in n structures with N sites.

        Args:
            sites: sites, which do not change.
            fractional: (N, 3) float64 positions.
            cell: (n, 3, 3) float64 conventional, Å.
            level: (n,) int64, 0 for the largest noise.
        """
        owner = sites.structure_index
        with torch.no_grad():
            graph = sites.graph(fractional, cell, self.network.settings.neighbours)
            share = 1.0 - level.double() / (self.levels.number - 1)
        numbers, directions = self.network(graph, sites.atomic_numbers, share[owner])
        pulls, strains = numbers.unbind(2)
        positions = (pulls[:, :, None] * directions).sum(1).double()
        if sites.projector is not None:
            positions = (positions[:, None] @ sites.projector)[:, 0]
        with torch.no_grad():
            gradients = length_gradients(graph.vectors, cell, sites.sources, owner)
            lengths = graph.vectors.norm(dim=2)
            weights = polynomial_envelope(lengths / graph.reach[:, None].clamp(min=COINCIDING)) * graph.counts
        lattice = mean_change(strains.double(), gradients, weights, sites.sources, owner)
        return Noise(positions, lattice)


@dataclass(frozen=True)
class Schedule(CheckedFields):
    """Schedule of sampling through the noise levels (section 4).

    Attributes:
        steps: number of steps at each level, T.
        position_rate: gamma_X, Å^2.
        lattice_rate: gamma_L, Å^2.
        lattice_noise: factor on the noise of the lattice, below 1 for a low temperature.
    """

    place = "generator"

    steps: Count = 80
    position_rate: Positive = 1e-3
    lattice_rate: Positive = 1e-2
    lattice_noise: NonNegative = 0.15
