"""GemsNet: energies, displacements of atoms and deformations of the lattice from messages on edges.

Klipfel et al., "Unified model for crystal material generation", IJCAI 2023, after GemNet-T (Klicpera et al., 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.gemsnet.atom_embedding import AtomEmbedding
from gflownet_crystal.models.gemsnet.blocks import InteractionBlock
from gflownet_crystal.models.gemsnet.heads import DisplacementHead, EnergyHead, LatticeHead
from gflownet_crystal.models.gemsnet.layers import Dense, EdgeEmbedding, orthogonal_weight
from gflownet_crystal.models.gemsnet.neighbourhoods import Neighbourhoods
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings
from gflownet_crystal.models.layers.bases import (
    GaussianBasis,
    RadialBesselBasis,
    SphericalBesselBasis,
    polynomial_envelope,
    zonal_harmonics,
)
from gflownet_crystal.models.layers.fast_linear import fast_linear
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.layers.padding import padded
from gflownet_crystal.models.layers.scatter import segment_mean, segment_sum
from gflownet_crystal.models.layers.vector_fields import (
    N_AXIS_FEATURES,
    AtomOutput,
    Triplets,
    axis_features,
    fractional_vectors,
    mean_triplet_action,
    unit_vectors,
)


class GemsNetBases(nn.Module):
    """Functions of the edges' lengths, with the envelope, and the projection of the circular basis' radial part.

    Args:
        settings: settings of the network.
        generator: random generator of the initial weights.
    """

    def __init__(self, settings: GemsNetSettings, generator: torch.Generator) -> None:
        super().__init__()
        n_radial, n_orders, n_circular = settings.n_radial, settings.n_orders, settings.widths.circular
        self.cutoff, self.exponent = settings.cutoff, settings.envelope_exponent
        self.triplet_scale = settings.widths.triplet_scale
        self.radial: nn.Module
        self.spherical: nn.Module | None = None
        if settings.basis == "bessel":
            self.radial = RadialBesselBasis(n_radial, self.cutoff)
            self.spherical = SphericalBesselBasis(n_orders, n_radial, self.cutoff)
        else:
            self.radial = GaussianBasis.spread(n_radial, self.cutoff)
        # functions of mean square 1, so that lengths are not drowned by the elements beside them
        with torch.no_grad():
            samples = torch.linspace(0.1, 1.0, 91, dtype=torch.float64) * self.cutoff
            self.radial_scale = _inverse_rms(self.radial(samples))
            self.circular_scale = self.radial_scale
            if self.spherical is not None:
                self.circular_scale = _inverse_rms(self.spherical(samples))
        projection = orthogonal_weight(n_orders * n_circular, n_radial, generator).detach()
        self.projection = nn.Parameter(projection.view(n_orders, n_circular, n_radial).contiguous())

    def forward(self, lengths: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """From (E,) lengths, Å, and (E,) weights, 1 if None: (E, n_radial) and (E, circular, n_orders)."""
        envelope = polynomial_envelope(lengths / self.cutoff, self.exponent)
        if weights is not None:
            envelope = envelope * weights
        radial = self.radial(lengths) * (envelope * self.radial_scale)[:, None]
        if self.spherical is None:
            # one set of functions for all orders
            circular = fast_linear(radial, self.projection.flatten(0, 1)).unflatten(
                1, self.projection.shape[:2]
            )
            circular = circular.transpose(1, 2)
        else:
            spherical = self.spherical(lengths) * (envelope * self.circular_scale)[:, None, None]
            circular = (spherical.transpose(0, 1) @ self.projection.mT).permute(1, 2, 0)
        return radial, circular * self.triplet_scale


class GemsNet(nn.Module):
    """The network.

    Energies are invariant, displacements and lattice actions equivariant, under rotations, reflections, translations,
    permutations and, unless ``axes`` is set, other cells of the same lattice and supercells. Energies are smooth in
    positions and cell on a graph whose cutoff is that of the envelope, and on one whose edges fade; on other graphs of
    nearest neighbours they jump where those change.

    Args:
        settings: sizes and parts; the authors' if None.
        seed: random seed of the initial weights.
    """

    def __init__(self, settings: GemsNetSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings = GemsNetSettings() if settings is None else settings
        widths, generator = settings.widths, torch.Generator().manual_seed(seed)
        n_radial, n_heads = settings.n_radial, settings.n_blocks + 1
        self.atoms = AtomEmbedding(widths.atom, settings.conditioning, settings.tabulated, generator)
        self.bases = GemsNetBases(settings, generator)
        n_edge = n_radial + N_AXIS_FEATURES * settings.axes
        self.edge_embedding = EdgeEmbedding(widths.atom, n_edge, widths.edge, generator)
        # one projection of the functions of length for each use, shared by all blocks
        self.radial_triplets = Dense(n_radial, widths.radial, generator)
        self.radial_atoms = Dense(n_radial, widths.radial, generator)
        self.radial_heads = Dense(n_edge, widths.radial, generator)
        self.blocks = nn.ModuleList(InteractionBlock(widths, generator) for _ in range(settings.n_blocks))
        self.energies = nn.ModuleList(EnergyHead(widths, generator) for _ in range(n_heads * settings.energy))
        self.displacements = nn.ModuleList(
            DisplacementHead(widths, generator) for _ in range(n_heads * settings.displacement)
        )
        self.lattice_weights = nn.ModuleList(
            LatticeHead(widths, generator) for _ in range(n_heads * settings.lattice)
        )
        if settings.lattice:
            self.circular_heads = orthogonal_weight(widths.circular, settings.n_orders, generator)

    needs_reverse = True

    @property
    def needs_triplets(self) -> bool:
        """Whether the graph has to list its pairs of edges: only the lattice head reads them one by one."""
        return self.settings.lattice

    def forward(self, graph: CrystalGraph, conditioning: Tensor | None = None) -> AtomOutput:
        """Read n structures with N atoms.

        Args:
            graph: graph with ``reverse``, and with pairs of edges if there is a lattice head.
            conditioning: (n, conditioning), further features of each structure, or (N, conditioning), of each atom;
                None if the settings name none.

        Raises:
            DataError: the graph has no ``reverse``, or the conditioning is not of the width that the settings name.
        """
        return self._read(graph, conditioning)[0]

    def _read(self, graph: CrystalGraph, conditioning: Tensor | None) -> tuple[AtomOutput, Tensor | None]:
        """Prediction, and the states of the atoms in the last energy head, (N, atom)."""
        if graph.reverse is None:
            raise DataError("GemsNet needs the reverse of each edge: build its graph with reverse=True")
        graph = padded(graph)
        lengths, directions = unit_vectors(graph.vectors)
        radial, circular = self.bases(lengths, graph.weights)
        atoms = self.atoms(graph, conditioning)
        features = self._of_edges(graph, radial)
        edges = self.edge_embedding(atoms, features, graph.source, graph.target)
        neighbourhoods = Neighbourhoods.of(graph.source, directions, graph.n_atoms, self.settings.n_orders)
        projected = self.radial_triplets(radial), self.radial_atoms(radial), circular
        ends = graph.source, graph.target, graph.reverse
        messages = [edges]
        for block in self.blocks:
            atoms, edges = block(atoms, edges, projected, neighbourhoods, ends)
            messages.append(edges)
        radial = self.radial_heads(features)
        energy, states = self._energy(graph, messages, radial)
        displacement = self._displacement(graph, messages, radial, directions)
        action = self._lattice_action(graph, messages, radial, directions)
        return AtomOutput(energy, displacement, action), states

    def _of_edges(self, graph: CrystalGraph, radial: Tensor) -> Tensor:
        """Features of edges that the first messages and the heads read, (E, n_edge)."""
        if not self.settings.axes:
            return radial
        structure = graph.structure_index.index_select(0, graph.source)
        axes = axis_features(fractional_vectors(graph.vectors, graph.cell, structure))
        # padded edges count for nothing
        weights = graph.vectors.new_ones(graph.n_edges) if graph.weights is None else graph.weights
        return torch.cat([radial, axes * weights[:, None]], dim=1)

    def energies_and_states(
        self, graph: CrystalGraph, conditioning: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Energies (n,), and the states of the atoms (N, atom) in the last energy head.

        Raises:
            DataError: the network has no energy heads.
        """
        output, states = self.outputs_and_states(graph, conditioning)
        if output.energy is None:
            raise DataError("this GemsNet has no energy heads; set energy=true")
        return output.energy, states

    def outputs_and_states(
        self, graph: CrystalGraph, conditioning: Tensor | None = None
    ) -> tuple[AtomOutput, Tensor]:
        """All that is predicted, and the states of the atoms (N, atom) in the last energy head.

        Raises:
            DataError: the network has no energy heads.
        """
        output, states = self._read(graph, conditioning)
        if states is None:
            raise DataError("this GemsNet has no energy heads; set energy=true")
        return output, states

    def _energy(
        self, graph: CrystalGraph, messages: list[Tensor], radial: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        if not self.settings.energy:
            return None, None
        pairs = zip(self.energies, messages, strict=True)
        outputs = [head(edges, radial, graph.target, graph.n_atoms) for head, edges in pairs]
        atoms = torch.stack([energy for energy, _ in outputs]).sum(0)
        # the last head follows the most rounds of messages
        return segment_mean(atoms, graph.structure_index, graph.n_structures), outputs[-1][1]

    def _displacement(
        self, graph: CrystalGraph, messages: list[Tensor], radial: Tensor, directions: Tensor
    ) -> Tensor | None:
        if not self.settings.displacement:
            return None
        pairs = zip(self.displacements, messages, strict=True)
        pulls = torch.stack([head(edges, radial) for head, edges in pairs]).to(directions.dtype).sum(0)
        # an edge acts on the atom it leads to, towards the one it comes from
        moves = segment_sum(-pulls[:, None] * directions, graph.target, graph.n_atoms)
        scale = self.settings.widths.atom_scale
        return fractional_vectors(moves * scale, graph.cell, graph.structure_index)

    def _lattice_action(
        self, graph: CrystalGraph, messages: list[Tensor], radial: Tensor, directions: Tensor
    ) -> Tensor | None:
        if not self.settings.lattice:
            return None
        triplets = Triplets.of(directions, graph.first, graph.second, graph.weights)
        zonal = zonal_harmonics(triplets.cosine, self.settings.n_orders)
        weights = graph.vectors.new_zeros((len(graph.first), 3))
        for head, edges in zip(self.lattice_weights, messages, strict=True):
            weights = weights + head(edges, radial, zonal, self.circular_heads, (graph.first, graph.second))
        edge_structure = graph.structure_index.index_select(0, graph.source)
        action = mean_triplet_action(
            weights, graph.lengths, directions, triplets, edge_structure, graph.n_structures
        )
        return torch.eye(3, dtype=action.dtype, device=action.device) + action


def _inverse_rms(values: Tensor) -> float:
    return float(values.square().mean().rsqrt())
