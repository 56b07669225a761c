"""Layers of the EGNN for crystals, with their sizes: messages between atoms, and actions on atoms and lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count
from gflownet_crystal.models.gemsnet.layers import OUTPUT_GAIN, Dense, EdgeEmbedding, orthogonal_weight
from gflownet_crystal.models.gemsnet.triplet_weights import triplet_perceptron
from gflownet_crystal.models.layers.fast_linear import fast_linear
from gflownet_crystal.models.layers.inputs import CrystalGraph, GraphSettings
from gflownet_crystal.models.layers.scatter import segment_sum
from gflownet_crystal.models.layers.vector_fields import (
    Triplets,
    mean_edge_action,
    mean_triplet_action,
    unit_vectors,
)


@dataclass(frozen=True)
class EGNNSettings(CheckedFields):
    """Sizes of an EGNN.

    Attributes:
        graph: definition of the neighbours of atoms.
        features: features of an atom.
        hidden: width of the perceptrons that weigh the actions.
        n_layers: layers that act on the crystal.
        n_message_layers: layers before them that only pass messages.
        longest: Å, where the Gaussians of distance end (equation 9).
        spacing: Å, from one to the next.
        sum_scale: factor on sums of messages, about 1 / sqrt(neighbours).
        conditioning: width of a vector given with each structure (a time embedding); 0 for none.
        tabulated: whether atoms start from tabulated features of their elements too.
        axes: whether edges have their directions in the axes of the cell as features too. Such a network tells the axes
            apart, and is invariant neither under other cells of the same lattice nor under supercells.

    Raises:
        ConfigError: there is no layer that acts on the crystal.
    """

    graph: GraphSettings = field(
        default_factory=lambda: GraphSettings(cutoff=None, neighbours=16, symmetric=False)
    )
    features: int = 128
    hidden: int = 256
    n_layers: Count = 6
    n_message_layers: int = 6
    longest: float = 10.0
    spacing: float = 0.1
    sum_scale: float = 0.25
    conditioning: int = 0
    tabulated: bool = False
    axes: bool = False

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """The authors' sizes, with ``changes``."""
        return replace(cls(), **changes)

    @classmethod
    def fast(cls, **changes: Any) -> Self:
        """Fewer neighbours and layers and narrower perceptrons, with ``changes``."""
        graph = GraphSettings(cutoff=None, neighbours=12, symmetric=False)
        return replace(cls(graph=graph, hidden=64, n_layers=4, n_message_layers=2, tabulated=True), **changes)

    @classmethod
    def denoising(cls, **changes: Any) -> Self:
        """The fast sizes for crystals whose lattice is yet unknown, with axes and ``changes``."""
        return replace(cls.fast(axes=True), **changes)


class EdgePerceptron(nn.Module):
    """Perceptron on [source, target, functions of length] of an edge.

    Args:
        features: features of an atom.
        n_basis: functions of length.
        hidden: width of the hidden layers.
        outputs: width of the result.
        n_hidden: hidden layers, 1 or 2.
        gain: gain of the last weights.
        generator: random generator of the initial weights.
    """

    def __init__(
        self,
        features: int,
        n_basis: int,
        hidden: int,
        outputs: int,
        generator: torch.Generator,
        n_hidden: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.embedding = EdgeEmbedding(features, n_basis, hidden, generator)
        inner = [Dense(hidden, hidden, generator, activated=True) for _ in range(n_hidden - 1)]
        self.layers = nn.Sequential(*inner, Dense(hidden, outputs, generator, gain=gain))

    def forward(self, atoms: Tensor, basis: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """(N, features), (E, n_basis), (E,), (E,) -> (E, outputs)."""
        return self.layers(self.embedding(atoms, basis, source, target))


class TripletPerceptron(nn.Module):
    """Weights of the fields of pairs of edges from [atom, both targets, both lengths, cosine, sine] (equation 4b)."""

    def __init__(self, features: int, n_basis: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.widths = [features, features, n_basis, features, n_basis, 2]
        self.first = orthogonal_weight(hidden, sum(self.widths), generator)
        self.hidden = orthogonal_weight(hidden, hidden, generator)
        self.out = orthogonal_weight(3, hidden, generator, OUTPUT_GAIN)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(
        self, atoms: Tensor, basis: Tensor, source: Tensor, target: Tensor, triplets: Triplets
    ) -> Tensor:
        """(N, features), (E, n_basis), (E,), (E,) and T pairs -> (T, 3)."""
        own, target_1, basis_1, target_2, basis_2, angle = self.first.split(self.widths, dim=1)
        first = fast_linear(basis, basis_1) + fast_linear(atoms, own).index_select(0, source)
        first = first + fast_linear(atoms, target_1).index_select(0, target)
        second = fast_linear(basis, basis_2) + fast_linear(atoms, target_2).index_select(0, target)
        sine = triplets.sine * (triplets.counts > 0.0)
        angular = torch.stack([triplets.cosine, sine], dim=1)
        weights = triplet_perceptron(
            first, second, angular, angle, self.hidden, self.out, triplets.first, triplets.second
        )
        return weights + self.bias


class MessageLayer(nn.Module):
    """Messages along the edges and their reception by a gated recurrent unit (equations 2 and 3)."""

    def __init__(self, settings: EGNNSettings, n_basis: int, generator: torch.Generator) -> None:
        super().__init__()
        width = settings.features
        self.message = EdgePerceptron(width, n_basis, width, width, generator)
        self.scale = settings.sum_scale
        # a module made in the usual way would draw its weights from the global generator
        self.unit = nn.utils.skip_init(nn.GRUCell, width, width)
        for weight in self.unit.parameters():
            bound = 1.0 / math.sqrt(width)
            nn.init.uniform_(weight, -bound, bound, generator=generator)

    def forward(self, atoms: Tensor, basis: Tensor, counts: Tensor, graph: CrystalGraph) -> Tensor:
        """(N, features), (E, n_basis), (E,) -> (N, features), in full precision also under autocast."""
        messages = self.message(atoms, basis, graph.source, graph.target) * counts[:, None]
        sums = segment_sum(messages, graph.source, graph.n_atoms) * self.scale
        with torch.autocast(sums.device.type, enabled=False):
            return self.unit(sums, atoms)


class ActionLayer(nn.Module):
    """Messages, then weights for the actions on the atoms and on the lattice (equations 2 to 8)."""

    def __init__(self, settings: EGNNSettings, n_basis: int, generator: torch.Generator) -> None:
        super().__init__()
        features, hidden = settings.features, settings.hidden
        self.messages = MessageLayer(settings, n_basis, generator)
        self.position = EdgePerceptron(features, n_basis, hidden, 1, generator, gain=OUTPUT_GAIN)
        self.edge = EdgePerceptron(features, n_basis, hidden, 1, generator, n_hidden=2, gain=OUTPUT_GAIN)
        self.edge_bias = nn.Parameter(torch.zeros(1))
        self.triplet = TripletPerceptron(features, n_basis, hidden, generator)

    def forward(
        self, atoms: Tensor, basis: Tensor, vectors: Tensor, counts: Tensor, graph: CrystalGraph
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Actions on the crystal as it is after the layers before.

        Args:
            atoms: (N, features).
            basis: (E, n_basis) functions of the edges in the crystal as it is.
            vectors: (E, 3) Å, the edges in the crystal as it is.
            counts: (E,), weight of each edge.
            graph: the edges' atoms, the pairs of edges and the structures.

        Returns:
            New features (N, features), weights of the displacements along the edges (E, 1), and the change of
            the lattice, (n, 3, 3).
        """
        source, target, n = graph.source, graph.target, graph.n_structures
        lengths, directions = unit_vectors(vectors)
        atoms = self.messages(atoms, basis, counts, graph)
        pulls = self.position(atoms, basis, source, target).to(vectors.dtype)
        triplets = Triplets.of(directions, graph.first, graph.second, graph.weights)
        edge_weights = (self.edge(atoms, basis, source, target) + self.edge_bias)[:, 0].to(vectors.dtype)
        weights = self.triplet(atoms, basis, source, target, triplets)
        structure = graph.structure_index.index_select(0, source)
        of_edges = mean_edge_action(edge_weights, vectors, counts, structure, n)
        return (
            atoms,
            pulls,
            of_edges + mean_triplet_action(weights, lengths, directions, triplets, structure, n),
        )
