"""Formation energies of structures by any network on atoms: energies of the elements plus the network's correction."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from gflownet_crystal.common.devices import autocast
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.layers.element_values import fitted_values
from gflownet_crystal.models.layers.inputs import CrystalGraph, graph_for
from gflownet_crystal.models.layers.scatter import segment_mean
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch


class EnergyModel(nn.Module):
    """Energy per atom = mean of the elements' energies over the atoms + scale * network.

    Args:
        network: network from a :class:`~gflownet_crystal.models.layers.inputs.CrystalGraph` to energies (n,), or to
            an output with such an ``energy``; its ``settings.graph`` say which graph it reads.
    """

    element_energy: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("element_energy", torch.zeros(N_ATOMIC_NUMBERS))
        self.register_buffer("scale", torch.ones(()))

    @property
    def needs_triplets(self) -> bool:
        """Whether the network reads pairs of edges."""
        return bool(getattr(self.network, "needs_triplets", True))

    @torch.no_grad()
    def fit_elements(self, structures: StructureBatch, energy: Tensor) -> None:
        """Set the elements' energies by ridge regression, and the scale to the residuals.

        Args:
            structures: n structures.
            energy: (n,) float64, eV/atom.
        """
        fitted, rest = fitted_values(structures, energy)
        self.element_energy.copy_(fitted)
        self.scale.copy_(rest.std())

    def graph(self, structures: StructureBatch) -> CrystalGraph:
        """The graph that the network reads, in the dtype of its weights.

        Raises:
            DataError: a structure has no such graph.
        """
        return graph_for(self.network, structures, self.scale.dtype)

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Energies (n,), eV/atom, in the dtype of the weights."""
        result = self.network(graph)
        correction = result if isinstance(result, Tensor) else result.energy
        if correction is None:
            raise DataError(f"this {type(self.network).__name__} has no energy heads; set energy=true")
        return self._with_elements(graph, correction)

    def energies_and_features(self, graph: CrystalGraph) -> tuple[Tensor, Tensor]:
        """Energies (n,), eV/atom, and means over the atoms of the states that they are read from, (n, d)."""
        correction, states = cast(Any, self.network).energies_and_states(graph)
        features = segment_mean(states.to(self.scale.dtype), graph.structure_index, graph.n_structures)
        return self._with_elements(graph, correction), features

    def layer_features(self, graph: CrystalGraph) -> Tensor:
        """Statistics of the states of several layers where the network gives these, else of the last.

        Returns:
            (n, 3 f) their means over the atoms, their standard deviations and their maxima.
        """
        network = cast(Any, self.network)
        if hasattr(network, "layer_states"):
            states = network.layer_states(graph)
        else:
            states = network.energies_and_states(graph)[1]
        states, index = states.to(self.scale.dtype), graph.structure_index
        mean = segment_mean(states, index, graph.n_structures)
        # by differences from the mean: those of squares would round to other values in other batches
        variance = segment_mean((states - mean[index]).square(), index, graph.n_structures)
        most = torch.full_like(mean, -torch.inf)
        most.scatter_reduce_(0, index[:, None].expand_as(states), states, "amax")
        return torch.cat([mean, variance.sqrt(), most], dim=1)

    def _with_elements(self, graph: CrystalGraph, correction: Tensor) -> Tensor:
        index, n = graph.structure_index, graph.n_structures
        total = self.element_energy.new_zeros(n).index_add_(
            0, index, self.element_energy[graph.atomic_numbers]
        )
        mean = total / torch.bincount(index, minlength=n)
        return mean + self.scale * correction.to(mean.dtype)

    @torch.no_grad()
    def energies(self, structures: StructureBatch, atoms: int = 1024, half: bool = False) -> Tensor:
        """Energies of any number of structures, without gradients, (n,) float64, eV/atom.

        Args:
            structures: n structures on the model's device.
            atoms: in a batch at most; bounds the memory.
            half: bfloat16 for the matrix products.
        """
        result = torch.empty(len(structures), dtype=torch.float64, device=structures.device)
        for rows in batches_of_atoms(structures.n_atoms, atoms):
            with autocast(structures.device, half):
                result[rows] = self(self.graph(structures[rows])).double()
        return result


def cell_energies(model: EnergyModel, structures: StructureBatch, cell: Tensor, fractional: Tensor) -> Tensor:
    """Energies of whole cells (n,) float64, eV, differentiable in cells (n, 3, 3) and coordinates (N, 3)."""
    graph = graph_for(model.network, structures, model.scale.dtype, cell, fractional)
    return model(graph).double() * structures.n_atoms
