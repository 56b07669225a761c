"""A network on orbits that moves the first atom of each: messages from all atoms and their images, in distances alone.

Scalar and vector features (K. Schuett et al., "Equivariant message passing", ICML 2021) on the asymmetric unit: the
vectors of an orbit's other atoms are those of its first one, turned by the group. The output does not depend on
origin, axes or the choice of the first atom of an orbit, and it has the symmetry of the site by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gflownet_crystal.models.layers.elements import N_ELEMENT_FEATURES, element_features
from gflownet_crystal.models.layers.linear import Linear
from gflownet_crystal.models.layers.scatter import segment_sum
from gflownet_crystal.models.sites.graph import SiteGraph
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS

_RELATIVE_RANGE = (0.3, 2.1)
_FAR_RANGE = (2.0, 16.0)
_NEARLY = 0.2
_HIGHEST_FREQUENCY = 100.0
_OUTPUT_GAIN = 0.1
_N_SITE_FEATURES = 7


@dataclass(frozen=True)
class Surroundings:
    """Distances and directions of the pairs of a graph as the network reads them; no gradient passes.

    Attributes:
        scalars: (P, n_radial + n_relative + n_far) float32: Gaussians of distance and of distance over radii, summed
            over the images of a pair, and of the distance to the nearest one.
        vectors: (P, 3, n_radial + n_far) float32, likewise of the unit vectors.
    """

    scalars: Tensor
    vectors: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, graph: SiteGraph, parameters: Tensor, settings: SiteSettings) -> Surroundings:
        """Those of the orbits of a graph with parameters (O, 3)."""
        vectors, lengths = graph.images(parameters)
        far, towards = _nearest(vectors, lengths, settings.n_far)
        pair, length, unit = _within(vectors, lengths, settings.cutoff)
        radii = covalent_radii(graph.atomic_number).float()
        touching = (radii[graph.first] + radii[graph.second])[pair]
        fade = 0.5 * (torch.cos(math.pi * (length / settings.cutoff).clamp(max=1.0)) + 1.0)[:, None]
        near = _gaussians(length, 0.0, settings.cutoff, settings.n_radial) * fade
        relative = _gaussians(length / touching, *_RELATIVE_RANGE, settings.n_relative) * fade
        pointing = (unit[:, :, None] * near[:, None]).flatten(1)
        widths = [near.shape[1], relative.shape[1], pointing.shape[1]]
        summed = segment_sum(torch.cat([near, relative, pointing], dim=1), pair, len(lengths))
        near, relative, pointing = summed.split(widths, dim=1)
        return cls(
            torch.cat([near, relative, far], dim=1),
            torch.cat([pointing.view(len(lengths), 3, -1), towards], dim=2),
        )


def _nearest(vectors: Tensor, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Of the nearest image, however far, (P, n) and (P, 3, n); several about as near share the direction."""
    nearest = lengths.amin(1)
    far = _gaussians(nearest, *_FAR_RANGE, n)
    shares = torch.exp((nearest[:, None] - lengths) / _NEARLY).nan_to_num(0.0)
    shares = shares / shares.sum(1, keepdim=True).clamp(min=1.0) / lengths
    towards = (shares[:, None] @ vectors)[:, 0]
    return far, towards[:, :, None] * far[:, None]


def _within(vectors: Tensor, lengths: Tensor, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pair, length and unit vector of the images within a cutoff."""
    image = torch.arange(lengths.numel(), device=lengths.device)
    if lengths.device.type == "cpu":
        # elsewhere the choice would have to wait for the device; those beyond fade to zero
        image = (lengths < cutoff).flatten().nonzero()[:, 0]
    length = lengths.flatten()[image]
    return image // lengths.shape[1], length, vectors.flatten(0, 1)[image] / length[:, None]


class SiteLayer(nn.Module):
    """A round of messages between the first atoms and all others."""

    def __init__(self, settings: SiteSettings, has_vectors: bool, generator: torch.Generator) -> None:
        super().__init__()
        width, vectors = settings.width, settings.vectors
        scalars = settings.n_radial + settings.n_relative + settings.n_far
        self.has_vectors = has_vectors
        self.norm = nn.LayerNorm(width)
        self.of_first = Linear(width, width, generator, bias=False)
        self.of_second = Linear(width, width, generator, bias=False)
        self.of_pair = Linear(scalars + 3 * vectors * has_vectors, width, generator)
        self.radial = Linear(settings.n_radial + settings.n_far, vectors, generator, bias=False)
        self.message = Linear(width, width, generator)
        self.gates = Linear(width, width + (1 + has_vectors) * vectors, generator)
        self.mix = Linear(vectors, vectors, generator, bias=False)
        self.inner = Linear(2 * width + 2 * vectors, width, generator)
        self.outer = Linear(width, width + vectors, generator)
        self.widths = [width, vectors, vectors * has_vectors]

    def forward(
        self, scalars: Tensor, vectors: Tensor, graph: SiteGraph, around: Surroundings
    ) -> tuple[Tensor, Tensor, Tensor]:
        """New features of the orbits, (O, width) and (O, 3, vectors), and the messages, (P, width)."""
        normed = self.norm(scalars)
        vectors = _bounded(vectors)
        known = [around.scalars]
        seen = self.radial(around.vectors.reshape(-1, around.vectors.shape[2]))
        seen = seen.view(len(graph.first), 3, -1)
        theirs = seen
        if self.has_vectors:
            own = vectors[graph.first]
            theirs = graph.turn.mT @ vectors[graph.second]
            known += [(own * seen).sum(1), (theirs * seen).sum(1), (own * theirs).sum(1)]
        sums = self.of_pair(torch.cat(known, dim=1))
        sums = sums + self.of_first(normed)[graph.first] + self.of_second(normed)[graph.second]
        message = silu(self.message(silu(sums)))
        passed, gate, gate_theirs = self.gates(message).split(self.widths, dim=1)
        moved = seen * gate[:, None]
        if self.has_vectors:
            moved = moved + theirs * gate_theirs[:, None]
        weight = graph.weight[:, None]
        n = len(scalars)
        messages = segment_sum(passed * weight, graph.first, n) * 0.3
        vectors = vectors + segment_sum(moved * weight[:, None], graph.first, n) * 0.3
        bounded = _bounded(vectors)
        mixed = self.mix(bounded.reshape(-1, vectors.shape[2])).view_as(vectors)
        invariant = torch.cat([_norms(vectors), (mixed * bounded).sum(1)], dim=1)
        change, gate = self.outer(silu(self.inner(torch.cat([normed, messages, invariant], dim=1)))).split(
            self.widths[:2], dim=1
        )
        return scalars + change, vectors + mixed * gate[:, None], message


class SiteNetwork(nn.Module):
    """Velocities of the first atoms of orbits.

    Args:
        settings: sizes.
        seed: random seed of the initial weights.
    """

    element_features: Tensor

    def __init__(self, settings: SiteSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        generator = torch.Generator().manual_seed(seed)
        width, vectors = settings.width, settings.vectors
        self.register_buffer("element_features", element_features(), persistent=False)
        self.element = nn.Parameter(0.5 * torch.randn(N_ATOMIC_NUMBERS, width, generator=generator))
        self.tabulated = Linear(N_ELEMENT_FEATURES, width, generator)
        self.site = Linear(_N_SITE_FEATURES + settings.time_width, width, generator)
        self.composition = Linear(width, width, generator)
        self.layers = nn.ModuleList(
            SiteLayer(settings, number > 0, generator) for number in range(settings.n_layers)
        )
        self.pair_head = Linear(width, settings.n_radial + settings.n_far, generator)
        self.vector_head = Linear(width, vectors, generator)

    def forward(self, graph: SiteGraph, parameters: Tensor, time: Tensor) -> Tensor:
        """Velocities of the first atoms.

        Args:
            graph: O orbits of n crystals.
            parameters: (O, 3) float64, of the orbits.
            time: (n,) float32, 0 (noise) to 1.

        Returns:
            (O, 3) float32, A per unit of time; free of drift, but not yet along the free directions.
        """
        around = Surroundings.of(graph, parameters, self.settings)
        scalars = self._first_features(graph, time)
        vectors = scalars.new_zeros(len(scalars), 3, self.settings.vectors)
        message = scalars
        for layer in self.layers:
            scalars, vectors, message = layer(scalars, vectors, graph, around)
        weights = self.pair_head(message) * graph.weight[:, None]
        pushed = (around.vectors * weights[:, None]).sum(2)
        pushed = segment_sum(pushed, graph.first, len(scalars))
        pushed = pushed + (vectors * self.vector_head(silu(scalars))[:, None]).sum(2)
        velocity = _OUTPUT_GAIN * pushed.float() * graph.reach[graph.crystal, None]
        return graph.without_drift(velocity)

    def _first_features(self, graph: SiteGraph, time: Tensor) -> Tensor:
        atoms, length = graph.atoms[graph.crystal], graph.length[graph.crystal]
        share = graph.multiplicity / atoms
        known = torch.stack([share, graph.multiplicity.log2() / 4.0, atoms.log2() / 4.0, length - 2.6], dim=1)
        freedom = graph.freedom[:, None].float() / 3.0
        reach = graph.reach[graph.crystal, None].log()
        known = torch.cat(
            [known, freedom, freedom.square(), reach, self._embedded(time)[graph.crystal]], dim=1
        )
        elements = (self.element + self.tabulated(self.element_features))[graph.atomic_number]
        mean = segment_sum(elements * share[:, None], graph.crystal, graph.n_crystals)
        return elements + self.site(known) + self.composition(mean)[graph.crystal]

    def _embedded(self, time: Tensor) -> Tensor:
        half = self.settings.time_width // 2
        steps = torch.linspace(0.0, 1.0, half, device=time.device)
        angles = time[:, None] * _HIGHEST_FREQUENCY**steps
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def _gaussians(lengths: Tensor, low: float, high: float, n: int) -> Tensor:
    """n Gaussians, evenly spaced from low to high and as wide as their spacing, (..., n)."""
    spacing = (high - low) / (n - 1)
    centres = torch.linspace(low, high, n, device=lengths.device)
    return torch.exp(-0.5 * ((lengths[..., None] - centres) / spacing).square())


def _bounded(vectors: Tensor) -> Tensor:
    """Vector features (O, 3, C) scaled together so that their mean square stays below one."""
    return vectors * (1.0 + vectors.square().sum(1).mean(1)).rsqrt()[:, None, None]


def _norms(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(1) + 1e-6).sqrt()
