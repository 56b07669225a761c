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
# images this many times further behind the nearest have shares below rounding
_FORGOTTEN = 17.0
_HIGHEST_FREQUENCY = 100.0
_OUTPUT_GAIN = 0.1
_N_SITE_FEATURES = 7
_SHARE = 0.3


@dataclass(frozen=True)
class Surroundings:
    """Distances and directions of the pairs of a graph as the network reads them; no gradient passes.

    Attributes:
        scalars: (P, n_radial + n_relative + n_far) float32: Gaussians of distance and of distance over radii, summed
            over the images of a pair, and of the distance to the nearest one.
        vectors: (3, P, n_radial + n_far) float32, likewise of the unit vectors.
    """

    scalars: Tensor
    vectors: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, graph: SiteGraph, parameters: Tensor, settings: SiteSettings) -> Surroundings:
        """Those of the orbits of a graph with parameters (O, 3)."""
        vectors, length = graph.images(parameters)
        pair, n = graph.pair, len(graph.first)
        nearest = length.new_full((n,), torch.inf).scatter_reduce(0, pair, length, "amin")
        if length.device.type == "cpu":
            # elsewhere the choice would have to wait for the device; those beyond count for nothing
            reach = (nearest + _FORGOTTEN * _NEARLY).clamp(min=settings.cutoff)
            image = (length < reach.index_select(0, pair)).nonzero()[:, 0]
            vectors, length, pair = (x.index_select(0, image) for x in (vectors, length, pair))
        radii = covalent_radii(graph.atomic_number).float()
        touching = radii[graph.first] + radii[graph.orbit][graph.atom]
        fade = 0.5 * (torch.cos(math.pi * (length / settings.cutoff).clamp(max=1.0)) + 1.0)[:, None]
        near = _gaussians(length, 0.0, settings.cutoff, settings.n_radial) * fade
        relative = _gaussians(length / touching[pair], *_RELATIVE_RANGE, settings.n_relative) * fade
        unit = vectors / length[:, None]
        # several images about as near share the direction to the nearest
        share = torch.exp((nearest[pair] - length) / _NEARLY)[:, None]
        pointing = unit[:, :, None] * torch.cat([near, share], dim=1)[:, None]
        columns = [near, relative, share, pointing.flatten(1)]
        summed = segment_sum(torch.cat(columns, dim=1), pair, n)
        near, share, pointing = summed.split(
            [settings.n_radial + settings.n_relative, 1, pointing[0].numel()], 1
        )
        far = _gaussians(nearest, *_FAR_RANGE, settings.n_far)
        pointing = pointing.view(n, 3, -1).transpose(0, 1)
        towards = pointing[:, :, -1:] / share.clamp(min=1.0) * far
        return cls(torch.cat([near, far], dim=1), torch.cat([pointing[:, :, :-1], towards], dim=2))


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
        """New features of the orbits, (O, width) and (3, O, vectors), and the messages, (P, width)."""
        normed = self.norm(scalars)
        vectors = _bounded(vectors)
        known = [around.scalars]
        seen = self.radial(around.vectors.flatten(0, 1)).view(3, len(graph.first), -1)
        theirs = seen
        if self.has_vectors:
            own = vectors.index_select(1, graph.first)
            turned = torch.einsum("nij,inc->jnc", graph.turn, vectors.index_select(1, graph.orbit))
            theirs = turned.index_select(1, graph.atom)
            known += [_dot(own, seen), _dot(theirs, seen), _dot(own, theirs)]
        sums = self.of_pair(torch.cat(known, dim=1))
        sums = sums + self.of_first(normed).index_select(0, graph.first)
        sums = sums + self.of_second(normed).index_select(0, graph.orbit).index_select(0, graph.atom)
        message = silu(self.message(silu(sums)))
        messages, moved = self._received(message, seen, theirs, graph)
        vectors = vectors + moved
        bounded = _bounded(vectors)
        mixed = self.mix(bounded.flatten(0, 1)).view_as(vectors)
        invariant = torch.cat([_norms(vectors), _dot(mixed, bounded)], dim=1)
        change, gate = self.outer(silu(self.inner(torch.cat([normed, messages, invariant], dim=1)))).split(
            self.widths[:2], dim=1
        )
        return scalars + change, vectors + mixed * gate, message

    def _received(
        self, message: Tensor, seen: Tensor, theirs: Tensor, graph: SiteGraph
    ) -> tuple[Tensor, Tensor]:
        """Sums over the pairs of each orbit: of the messages' scalars, (O, width), and vectors, (3, O, vectors)."""
        width, n, pairs = message.shape[1], len(graph.crystal), graph.n_pairs
        # the sum of products is the product of the sum
        atoms = graph.atoms[graph.crystal, None]
        total = segment_sum(message[:pairs], graph.first[:pairs], n)
        passed = self.gates(total / atoms, slice(width)) * atoms
        gates = self.gates(message, slice(width, None)).split(seen.shape[2], dim=1)
        moved = seen * gates[0]
        if self.has_vectors:
            moved = moved + theirs * gates[1]
        pulled = [segment_sum(axis[:pairs], graph.first[:pairs], n) for axis in moved]
        return passed * _SHARE, torch.stack(pulled) * _SHARE


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
        vectors = scalars.new_zeros(3, len(scalars), self.settings.vectors)
        message = scalars
        for layer in self.layers:
            scalars, vectors, message = layer(scalars, vectors, graph, around)
        pushed = (around.vectors * self.pair_head(message)).sum(2).mT
        pushed = segment_sum(pushed[: graph.n_pairs], graph.first[: graph.n_pairs], len(scalars))
        pushed = pushed + (vectors * self.vector_head(silu(scalars))).sum(2).mT
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
    """Vector features (3, O, C) scaled together so that their mean square stays below one."""
    return vectors * (1.0 + vectors.square().sum(0).mean(1)).rsqrt()[:, None]


def _norms(vectors: Tensor) -> Tensor:
    """Lengths of vector features, (3, O, C) -> (O, C)."""
    return (vectors.square().sum(0) + 1e-6).sqrt()


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Scalar products of vector features, (3, M, C) -> (M, C)."""
    x, y, z = (a * b for a, b in zip(one, other, strict=True))
    return x + y + z
