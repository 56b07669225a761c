"""ALIGNN: energies from bonds and the angles between them (Choudhary and DeCost, npj Comput. Mater. 7, 185, 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.alignn.edge_gate import Block, EdgeGatedConvolution
from gflownet_crystal.models.alignn.line_graph import bonds_of, crystal_links, edge_weights_of, line_graph
from gflownet_crystal.models.layers.bases import GaussianBasis
from gflownet_crystal.models.layers.elements import N_ELEMENT_FEATURES, element_features
from gflownet_crystal.models.layers.inputs import CrystalGraph, GraphSettings
from gflownet_crystal.models.layers.linear import Linear, product_dtype
from gflownet_crystal.models.layers.padding import round_size
from gflownet_crystal.models.layers.scatter import segment_mean, segment_sum
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS

_LONGEST = 8.0


@dataclass(frozen=True)
class ALIGNNSettings:
    """Sizes of the network; the defaults are a small one.

    Attributes:
        width: width of atoms, bonds and triplets.
        embedding: width of the layers that read distances, angles and elements.
        alignn_layers: layers with a convolution over bonds and angles, then one over atoms and bonds.
        gcn_layers: layers that follow, over atoms and bonds only.
        radial: Gaussians for distances, from 0 to 8 Å.
        angular: Gaussians for cosines, from -1 to 1.
        bond_readout: whether energies are read from the bonds, too, and not from the atoms only. Without that, as in
            the paper, energies of elements with one kind of site do not depend on the cell.
        graph: definition of the neighbours of atoms; it has to be symmetric. Energies are continuous, and
            differentiable twice, where its edges fade.

    Raises:
        ConfigError: the graph is not symmetric.
    """

    width: int = 128
    embedding: int = 64
    alignn_layers: int = 2
    gcn_layers: int = 2
    radial: int = 80
    angular: int = 40
    bond_readout: bool = True
    graph: GraphSettings = field(default_factory=lambda: GraphSettings(fade=0.5))

    def __post_init__(self) -> None:
        if not self.graph.symmetric:
            raise ConfigError("ALIGNN sends messages along reversed edges: its graph needs symmetric=true")

    @classmethod
    def paper(cls) -> Self:
        """Sizes, readout and graph of the paper, whose edges do not fade: 4 million parameters."""
        return cls(width=256, alignn_layers=4, gcn_layers=4, bond_readout=False, graph=GraphSettings())

    @classmethod
    def fast(cls) -> Self:
        """Small sizes for one CPU core."""
        return cls()


class ALIGNN(nn.Module):
    """Energies of crystals.

    As in the paper, but for layer norms in the place of batch norms, so that an energy does not depend on the batch,
    and for a learned embedding and 29 tabulated features of the elements in the place of CGCNN's 92.

    Args:
        settings: sizes.
        seed: random seed of the initial weights.
    """

    def __init__(self, settings: ALIGNNSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings = settings or ALIGNNSettings()
        generator = torch.Generator().manual_seed(seed)
        width, embedding = settings.width, settings.embedding
        self.atom_embedding = ElementStates(embedding, width, generator)
        self.radial = _gaussians(0.0, _LONGEST, settings.radial)
        self.bond_embedding = nn.Sequential(
            _layer(settings.radial, embedding, generator), _layer(embedding, width, generator)
        )
        self.angular = _gaussians(-1.0, 1.0, settings.angular)
        self.angle_embedding = nn.Sequential(
            _layer(settings.angular, embedding, generator), _layer(embedding, width, generator)
        )
        self.alignn_layers = nn.ModuleList(
            ALIGNNLayer(width, generator, updates_angles=layer + 1 < settings.alignn_layers)
            for layer in range(settings.alignn_layers)
        )
        # the last states of bonds are only wanted by the readout
        last = settings.gcn_layers - (0 if settings.bond_readout else 1)
        self.gcn_layers = nn.ModuleList(
            EdgeGatedConvolution(width, generator, updates_links=layer < last)
            for layer in range(settings.gcn_layers)
        )
        self.readout = Linear(width, 1, generator)
        self.bond_readout = Linear(width, 1, generator, bias=False) if settings.bond_readout else None
        if self.bond_readout is not None:
            # zero at the start: the readout of the bonds contributes once training has moved it
            nn.init.zeros_(self.bond_readout.weight)

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Energies (n,), in the unit and scale of the training targets, dtype of the weights."""
        return self.energies_and_states(graph)[0]

    def energies_and_states(self, graph: CrystalGraph) -> tuple[Tensor, Tensor]:
        """Energies (n,), and the last states of the atoms (N, width), from which they are read."""
        _, atoms, bonds = self._states(graph)
        with torch.autocast(atoms.device.type, enabled=False):
            # half precision resolves 0.02 eV/atom at -4 eV/atom
            energies = self.readout(atoms)
            if self.bond_readout is not None and bonds is not None:
                energies = energies + self.bond_readout(bonds)
        energy = segment_mean(energies[: graph.n_atoms, 0], graph.structure_index, graph.n_structures)
        return energy, atoms[: graph.n_atoms]

    def layer_states(self, graph: CrystalGraph) -> Tensor:
        """States of the atoms that other properties are read from.

        Returns:
            (N, 2 width) states after the layers with angles and after the last layer, or (N, 3 width) with the means
            over their bonds where the energies are read from these, too.
        """
        states = [state for state in self._states(graph) if state is not None]
        return torch.cat([state[: graph.n_atoms] for state in states], dim=1)

    def _states(self, graph: CrystalGraph) -> tuple[Tensor, Tensor, Tensor | None]:
        """States of the atoms after the layers with angles and after the last, and means over their bonds, or None.

        They are padded to a round number of rows.
        """
        bonded = bonds_of(graph)
        crystal = crystal_links(bonded)
        line, cosines = line_graph(graph, bonded, self.settings.width)
        atoms = self.atom_embedding(graph.atomic_numbers)
        # products are fast for round numbers of rows
        atoms = pad(atoms, (0, 0, 0, round_size(graph.n_atoms) - graph.n_atoms))
        bonds = self.bond_embedding(self.radial(bonded.lengths))
        # there are many triplets: between layers, autocast may round their states
        dtype = product_dtype(graph.vectors)
        angles: Sequence[Tensor] = [self.angle_embedding(self.angular(x)).to(dtype) for x in cosines]
        for layer in self.alignn_layers:
            atoms, bonds, angles = layer(atoms, bonds, angles, crystal, line)
            # the two triplets of an angle start with the same features and then diverge
            line = tuple(replace(block, state_row=None) for block in line)
        with_angles = atoms
        states: Sequence[Tensor] = [bonds]
        for layer in self.gcn_layers:
            atoms, states = layer(atoms, states, crystal)
        if self.bond_readout is None:
            return with_angles, atoms, None
        with torch.autocast(atoms.device.type, enabled=False):
            return with_angles, atoms, _mean_bond(bonded, states[0], len(atoms))


class ALIGNNLayer(nn.Module):
    """An edge-gated convolution over bonds and angles, and one over atoms and bonds (equations 5 and 6).

    Args:
        width: width of atoms, bonds and triplets.
        generator: random generator of the initial weights.
        updates_angles: whether new states of the triplets are wanted.
    """

    def __init__(self, width: int, generator: torch.Generator, updates_angles: bool = True) -> None:
        super().__init__()
        self.over_bonds = EdgeGatedConvolution(width, generator, updates_angles)
        self.over_atoms = EdgeGatedConvolution(width, generator)

    def forward(
        self,
        atoms: Tensor,
        bonds: Tensor,
        angles: Sequence[Tensor],
        crystal: Sequence[Block],
        line: Sequence[Block],
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """New states of atoms (N, width), bonds (E, width) and triplets (R, width) in each block."""
        bonds, angles = self.over_bonds(bonds, angles, line)
        atoms, (bonds,) = self.over_atoms(atoms, [bonds], crystal)
        return atoms, bonds, angles


class ElementStates(nn.Module):
    """States of atoms from a learned embedding of their element and its tabulated features.

    Args:
        embedding: width of the learned embedding.
        width: width of the result.
        generator: random generator of the initial weights.
    """

    features: Tensor

    def __init__(self, embedding: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.randn(N_ATOMIC_NUMBERS, embedding, generator=generator))
        self.register_buffer("features", element_features(), persistent=False)
        self.layer = _layer(embedding + N_ELEMENT_FEATURES, width, generator)

    def forward(self, atomic_numbers: Tensor) -> Tensor:
        """(N,) -> (N, width)."""
        table = self.layer(torch.cat([self.learned, self.features], dim=1))
        return table.index_select(0, atomic_numbers)


def _mean_bond(bonded: CrystalGraph, bonds: Tensor, n_rows: int) -> Tensor:
    """Weighted mean of the bonds of each atom, (n_rows, width); near zero for an atom with hardly any."""
    weights = edge_weights_of(bonded)[:, None]
    total = segment_sum(weights, bonded.source, n_rows)
    return segment_sum(bonds * weights, bonded.source, n_rows) / (total + 1.0)


def _layer(inputs: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(Linear(inputs, outputs, generator), nn.LayerNorm(outputs), nn.SiLU())


def _gaussians(low: float, high: float, number: int) -> GaussianBasis:
    """Gaussians spread evenly, their sharpness one over the spacing, as in the paper's code."""
    centres = torch.linspace(low, high, number, dtype=torch.float64)
    return GaussianBasis(centres, (number - 1) / (high - low))
