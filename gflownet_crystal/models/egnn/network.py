"""EGNN for crystals: messages between atoms, which move the atoms and deform the lattice layer by layer.

Klipfel et al., "Unified model for crystal material generation", IJCAI 2023, section 4.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gflownet_crystal.models.egnn.layers import ActionLayer, EGNNSettings, MessageLayer
from gflownet_crystal.models.gemsnet.atom_embedding import AtomEmbedding
from gflownet_crystal.models.layers.bases import GaussianBasis
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.layers.padding import padded
from gflownet_crystal.models.layers.scatter import segment_sum
from gflownet_crystal.models.layers.vector_fields import (
    N_AXIS_FEATURES,
    AtomOutput,
    axis_features,
    cartesian_vectors,
    fractional_vectors,
)


class EGNN(nn.Module):
    """The network; it says nothing of energies.

    Displacements and lattice actions are equivariant under rotations, reflections, translations, permutations and,
    unless ``axes`` is set, other cells of the same lattice and supercells. The edges stay those of the given crystal
    while it changes.

    Args:
        settings: sizes; the authors' if None.
        seed: random seed of the initial weights.
    """

    needs_reverse = False
    needs_triplets = True

    def __init__(self, settings: EGNNSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings = EGNNSettings() if settings is None else settings
        generator = torch.Generator().manual_seed(seed)
        n_basis = round(settings.longest / settings.spacing)
        centres = torch.arange(n_basis, dtype=torch.float64) * settings.spacing
        # equation 9 has 10 / Å^2 for Gaussians 0.1 Å apart
        self.gaussians = GaussianBasis(centres, 1.0 / settings.spacing)
        n_basis += N_AXIS_FEATURES * settings.axes
        self.atoms = AtomEmbedding(settings.features, settings.conditioning, settings.tabulated, generator)
        self.messages = nn.ModuleList(
            MessageLayer(settings, n_basis, generator) for _ in range(settings.n_message_layers)
        )
        self.actions = nn.ModuleList(
            ActionLayer(settings, n_basis, generator) for _ in range(settings.n_layers)
        )

    def forward(self, graph: CrystalGraph, conditioning: Tensor | None = None) -> AtomOutput:
        """Read n structures with N atoms.

        Args:
            graph: graph with pairs of edges.
            conditioning: (n, conditioning), further features of each structure; None if the settings name none.

        Raises:
            DataError: the conditioning is not of the width that the settings name.
        """
        graph = padded(graph)
        source, target = graph.source, graph.target
        structure = graph.structure_index.index_select(0, source)
        atoms, vectors, cell = self.atoms(graph, conditioning), graph.vectors, graph.cell
        counts = graph.vectors.new_ones(graph.n_edges) if graph.weights is None else graph.weights
        fractional = fractional_vectors(vectors, cell, structure)
        basis = self._basis(vectors, fractional)
        for layer in self.messages:
            atoms = layer(atoms, basis, counts, graph)
        # the part of each edge in the mean over its atom's
        share = counts / segment_sum(counts, source, graph.n_atoms).clamp(min=1.0).index_select(0, source)
        displacement = vectors.new_zeros((graph.n_atoms, 3))
        lattice_action = torch.eye(3, dtype=cell.dtype, device=cell.device).expand_as(cell)
        for layer in self.actions:
            atoms, pulls, change = layer(atoms, basis, vectors, counts, graph)
            moves = segment_sum(pulls * fractional * share[:, None], source, graph.n_atoms)
            displacement = displacement + moves
            lattice_action = lattice_action + _product(lattice_action, change)
            fractional = fractional + moves.index_select(0, target) - moves.index_select(0, source)
            vectors = cartesian_vectors(fractional, _product(cell, lattice_action), structure)
            basis = self._basis(vectors, fractional)
        return AtomOutput(displacement=displacement, lattice_action=lattice_action)

    def _basis(self, vectors: Tensor, fractional: Tensor) -> Tensor:
        """Functions of the edges, (E, 3) Å and (E, 3) fractional -> (E, n_basis)."""
        gaussians = self.gaussians(vectors.norm(dim=1))
        return torch.cat([gaussians, axis_features(fractional)], dim=1) if self.settings.axes else gaussians


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Product of (n, 3, 3) matrices in full precision, which a matrix product is not under autocast."""
    return (left[:, :, :, None] * right[:, None, :, :]).sum(2)
