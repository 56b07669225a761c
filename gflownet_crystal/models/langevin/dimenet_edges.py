"""Messages on the edges of a symmetry multigraph, and numbers for each edge: DimeNet++ without its sums over atoms.

Gasteiger et al., arXiv:2011.14115, with outputs on edges as in Sultanov et al., J. Chem. Inf. Model. 63, 6986 (2023),
section 4.2. Each node has the same number of edges, so sums over pairs of them are matrix products.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gflownet_crystal.models.gemsnet.layers import (
    OUTPUT_GAIN,
    Dense,
    EdgeEmbedding,
    orthogonal_weight,
    residual_stack,
    skip,
)
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.layers.bases import (
    GaussianBasis,
    RadialBesselBasis,
    SphericalBesselBasis,
    polynomial_envelope,
    zonal_harmonics,
)
from gflownet_crystal.models.layers.elements import N_ELEMENT_FEATURES, element_features
from gflownet_crystal.models.layers.fast_linear import fast_linear
from gflownet_crystal.models.layers.padding import ROUND
from gflownet_crystal.models.layers.vector_fields import unit_vectors
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.symmetry_multigraph import SymmetryMultigraph

# keeps the aggregated messages of an edge near the size of its own features
_PAIR_SCALE = 0.12


class Neighbours(NamedTuple):
    """Edge inputs of the blocks; E = N K edges, K of each node.

    Attributes:
        radial: (E, n_radial), functions of length, zero at the reach of the node.
        circular: (N, L, K, basis_width), of length, for each order of the functions of the angle.
        angular: (N, K, L K), functions of the angles between the edges of a node, order by order.
        reverse: (E,) int64.
        has_reverse: (E, 1) 0 or 1.
    """

    radial: Tensor
    circular: Tensor
    angular: Tensor
    reverse: Tensor
    has_reverse: Tensor


class EdgeBases(nn.Module):
    """Functions of lengths and angles.

    Args:
        settings: settings of the network.
        generator: random generator of the initial weights.
    """

    def __init__(self, settings: DimeNetSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.settings = settings
        self.radial = RadialBesselBasis(settings.n_radial, settings.cutoff)
        self.spherical: SphericalBesselBasis | None = None
        samples = torch.linspace(0.1, 1.0, 91, dtype=torch.float64) * settings.cutoff
        # functions of mean square 1
        self.scale = self.circular_scale = float(self.radial(samples).square().mean().rsqrt())
        if settings.basis == "bessel":
            self.spherical = SphericalBesselBasis(settings.n_orders, settings.n_radial, settings.cutoff)
            self.circular_scale = float(self.spherical(samples).square().mean().rsqrt())
        rows = settings.n_orders * settings.basis_width
        projection = orthogonal_weight(rows, settings.n_radial, generator).detach()
        self.projection = nn.Parameter(projection.view(settings.n_orders, settings.basis_width, -1).clone())

    def forward(self, graph: SymmetryMultigraph, dtype: torch.dtype) -> tuple[Neighbours, Tensor]:
        """Inputs of the blocks, and the unit vectors of the edges (N, K, 3)."""
        n_nodes, n_edges = graph.target.shape
        lengths, directions = unit_vectors(graph.vectors.to(dtype).flatten(0, 1))
        reach = graph.reach.to(dtype).repeat_interleave(n_edges, output_size=n_nodes * n_edges)
        # pairs that do not count are out of reach
        lengths = lengths.where(graph.counts.flatten(), reach)
        envelope = polynomial_envelope(lengths / reach.clamp(min=1e-3))[:, None]
        lengths = (lengths.square() + self.settings.softening**2).sqrt()
        radial = self.radial(lengths)
        if self.spherical is None:
            functions = radial[None].expand(self.settings.n_orders, -1, -1)
        else:
            functions = self.spherical(lengths).transpose(0, 1)
        circular = functions @ self.projection.mT * (envelope * self.circular_scale)
        circular = circular.unflatten(1, (n_nodes, n_edges)).transpose(0, 1)
        directions = directions.view(n_nodes, n_edges, 3)
        neighbours = Neighbours(
            radial * (envelope * self.scale),
            circular.contiguous(),
            self._angular(directions),
            graph.reverse.flatten(),
            graph.has_reverse.flatten()[:, None].to(dtype),
        )
        return neighbours, directions

    def _angular(self, directions: Tensor) -> Tensor:
        n_nodes, n_edges, _ = directions.shape
        cosines = directions @ directions.mT
        harmonics = zonal_harmonics(cosines.flatten(), self.settings.n_orders)
        harmonics = harmonics.view(n_nodes, n_edges, n_edges, -1).transpose(2, 3)
        # an edge and itself are no pair
        others = 1.0 - torch.eye(n_edges, dtype=directions.dtype, device=directions.device)
        return (harmonics * (others[:, None, :] * _PAIR_SCALE)).flatten(2)


class EdgeInteraction(nn.Module):
    """Interaction block: an edge aggregates the messages that reach its node along the other edges.

    Args:
        settings: settings of the network.
        generator: random generator of the initial weights.
    """

    def __init__(self, settings: DimeNetSettings, generator: torch.Generator) -> None:
        super().__init__()
        width, reduced, basis = settings.width, settings.interaction, settings.basis_width
        self.own = Dense(width, width, generator, activated=True)
        self.sent = Dense(width, width, generator, activated=True)
        self.radial = nn.Sequential(
            Dense(settings.n_radial, basis, generator), Dense(basis, width, generator)
        )
        self.circular = orthogonal_weight(reduced, basis, generator)
        self.down = Dense(width, reduced, generator, activated=True)
        self.up = Dense(reduced, width, generator, activated=True)
        self.before = residual_stack(1, width, generator)
        self.joined = Dense(width, width, generator, activated=True)
        self.after = residual_stack(settings.after_skip, width, generator)

    def forward(self, edges: Tensor, neighbours: Neighbours) -> Tensor:
        """(E, width) -> (E, width)."""
        n_nodes, _, n_edges, _ = neighbours.circular.shape
        sent = self.down(self.sent(edges) * self.radial(neighbours.radial))
        # a message leaves a node along an edge, so the incoming message along it was sent by its reverse
        received = sent.index_select(0, neighbours.reverse) * neighbours.has_reverse
        by_order = neighbours.circular @ self.circular.mT
        by_order = by_order * received.view(n_nodes, 1, n_edges, -1)
        messages = neighbours.angular @ by_order.flatten(1, 2)
        changed = skip(self.own(edges), self.up(messages.flatten(0, 1)))
        return self.after(skip(self.joined(self.before(changed)), edges))


class EdgeOutput(nn.Module):
    """Numbers for each edge: dense layers on edges in the place of those on atoms, and no pooling.

    Args:
        settings: settings of the network.
        n_outputs: numbers an edge.
        generator: random generator of the initial weights.
    """

    def __init__(self, settings: DimeNetSettings, n_outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.radial = Dense(settings.n_radial, settings.width, generator)
        widths = [settings.width] + [settings.output] * settings.output_layers
        self.layers = nn.Sequential(
            *(Dense(inputs, outputs, generator, activated=True) for inputs, outputs in pairwise(widths))
        )
        self.last = orthogonal_weight(n_outputs, widths[-1], generator, OUTPUT_GAIN)

    def forward(self, edges: Tensor, radial: Tensor) -> Tensor:
        """(E, width) and (E, n_radial) -> (E, n_outputs)."""
        return fast_linear(self.layers(self.radial(radial) * edges), self.last)


class DimeNetEdges(nn.Module):
    """The network. Its numbers are invariant under rotations, reflections, and the choice of cell and orbit atoms.

    Args:
        settings: sizes; the fast ones if None.
        n_outputs: numbers an edge.
        seed: random seed of the initial weights.
    """

    features: Tensor

    def __init__(self, settings: DimeNetSettings | None = None, n_outputs: int = 2, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings = DimeNetSettings() if settings is None else settings
        generator = torch.Generator().manual_seed(seed)
        width = settings.width
        self.learned = nn.Parameter(torch.randn(N_ATOMIC_NUMBERS, width, generator=generator))
        self.tabulated = Dense(N_ELEMENT_FEATURES, width, generator) if settings.tabulated else None
        self.register_buffer("features", element_features(), persistent=False)
        self.level_basis = GaussianBasis.spread(settings.levels, 1.0)
        self.level = Dense(settings.levels, width, generator)
        self.bases = EdgeBases(settings, generator)
        self.embedding = EdgeEmbedding(width, settings.n_radial, width, generator)
        self.blocks = nn.ModuleList(EdgeInteraction(settings, generator) for _ in range(settings.n_blocks))
        self.heads = nn.ModuleList(
            EdgeOutput(settings, n_outputs, generator) for _ in range(settings.n_blocks + 1)
        )

    def forward(
        self, graph: SymmetryMultigraph, atomic_numbers: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Numbers for the K edges of N nodes.

        Args:
            graph: graph with the reverse edges.
            atomic_numbers: (N,) int64.
            level: (N,) noise level of each node's structure, 0 (the lowest) to 1.

        Returns:
            (N, K, n_outputs), zero for edges that do not count, and the edges' unit vectors (N, K, 3).
        """
        n_atoms, n_edges = graph.target.shape
        extra = -n_atoms % (ROUND // math.gcd(ROUND, n_edges))
        graph = padded(graph, extra)
        n_nodes, dtype = n_atoms + extra, self.learned.dtype
        neighbours, directions = self.bases(graph, dtype)
        table = self.learned
        if self.tabulated is not None:
            table = table + self.tabulated(self.features)
        levels = fast_linear(self.level_basis(level.to(dtype)), self.level.weight)
        atoms = pad(table.index_select(0, atomic_numbers) + levels, (0, 0, 0, extra))
        source = torch.arange(n_nodes, device=level.device)[:, None].expand(-1, n_edges).flatten()
        edges = self.embedding(atoms, neighbours.radial, source, graph.target.flatten())
        outputs = self.heads[0](edges, neighbours.radial)
        for block, head in zip(self.blocks, list(self.heads)[1:], strict=True):
            edges = block(edges, neighbours)
            outputs = outputs + head(edges, neighbours.radial)
        outputs = outputs.view(n_nodes, n_edges, -1) * graph.counts[:, :, None].to(dtype)
        return outputs[:n_atoms], directions[:n_atoms]


def padded(graph: SymmetryMultigraph, extra: int) -> SymmetryMultigraph:
    """The same graph with more nodes, whose edges do not count: processors are faster with round numbers of edges."""
    if extra == 0:
        return graph
    n_edges = graph.reverse.numel() + extra * graph.reverse.shape[1]
    added = torch.arange(graph.reverse.numel(), n_edges, device=graph.reverse.device).view(extra, -1)
    return SymmetryMultigraph(
        pad(graph.target, (0, 0, 0, extra)),
        pad(graph.operation, (0, 0, 0, extra)),
        pad(graph.translation, (0, 0, 0, 0, 0, extra)),
        pad(graph.vectors, (0, 0, 0, 0, 0, extra), value=1.0),
        pad(graph.reach, (0, extra), value=1.0),
        pad(graph.counts, (0, 0, 0, extra)),
        torch.cat([graph.reverse, added]),
        pad(graph.has_reverse, (0, 0, 0, extra)),
    )
