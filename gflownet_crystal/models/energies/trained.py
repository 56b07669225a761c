"""Formation energies by this package's networks on atoms, with trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gflownet_crystal.common.devices import autocast
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.energies.derivatives import Derivatives, differentiated, each_alone
from gflownet_crystal.models.energies.energy import EnergyModel, cell_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.models.energies.uncertainty import LatentDistance
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.periodic_pairs import connected, has_cell
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import fitting_tensors, load_weights, tensors_under

KIND = "structure_energy"
"""Kind of such weights, as on their cards."""

UNCERTAINTY = "uncertainty."
"""Prefix of the names of the uncertainty's tensors; the others are the model's."""

FARTHEST = 6.0
"""Å; an atom whose nearest neighbour is farther away than this is alone."""


class TrainedEnergies(StructureEnergies):
    """A network with its weights.

    Standard deviations come from the distance to the training data
    (:class:`~gflownet_crystal.models.energies.uncertainty.LatentDistance`); they are zeros for weights that hold none.

    Args:
        weights: name of shipped weights, or path of a ``.safetensors`` file with its card beside it.
        batch_atoms: atoms of a batch at most; bounds the memory, not the result.
        half: bfloat16 for matrix products: up to twice as fast, about 1 meV/atom less exact.

    Raises:
        ConfigError: ``batch_atoms`` below 1.
        WeightsError: the weights are missing, corrupt or of another network.
    """

    def __init__(self, weights: str | Path = "alignn", batch_atoms: int = 1024, half: bool = False) -> None:
        self._set(*load_weights(weights, KIND), batch_atoms, half)

    @classmethod
    def from_weights(cls, weights: str | Path, batch_atoms: int = 1024, half: bool = False) -> Self:
        """The same as calling the class."""
        return cls(weights, batch_atoms, half)

    @classmethod
    def of(
        cls, tensors: dict[str, Tensor], card: dict[str, Any], batch_atoms: int = 1024, half: bool = False
    ) -> Self:
        """From tensors in memory, such as a training just left.

        Raises:
            WeightsError: they do not fit the card's network.
        """
        made = cls.__new__(cls)
        made._set(tensors, card, batch_atoms, half)
        return made

    def _set(self, tensors: dict[str, Tensor], card: dict[str, Any], batch_atoms: int, half: bool) -> None:
        if batch_atoms < 1:
            raise ConfigError(f"batch_atoms must be at least 1, not {batch_atoms}")
        self.card, self.batch_atoms, self.half = card, batch_atoms, half
        self.model, self.uncertainty = build_model(tensors, card)

    @torch.no_grad()
    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        """Formation energies and standard deviations; see :class:`StructureEnergies`.

        NaN where atoms are closer than ``CLOSEST`` or one is ``FARTHEST`` from all others, and where there is no cell,
        no number or no such element.
        """
        result = structures.cell.new_full((2, len(structures)), torch.nan)
        for rows, graph in self.graphs(structures):
            with autocast(structures.device, self.half):
                energy, features = self.model.energies_and_features(graph)
            result[0, rows] = energy.double()
            result[1, rows] = 0.0 if self.uncertainty is None else self.uncertainty(features)
        result[:, ~result.isfinite().all(0)] = torch.nan
        return result[0], result[1]

    def graphs(self, structures: StructureBatch) -> Iterator[tuple[Tensor, CrystalGraph]]:
        """Graphs of the structures that can be judged, in batches, each with their rows (m,) int64.

        Args:
            structures: n structures on the model's device.
        """
        for rows in batches_of_atoms(structures.n_atoms, self.batch_atoms):
            good = rows[_is_readable(structures[rows])]
            if len(good):
                yield from self._graphs(structures, good)

    def _graphs(self, structures: StructureBatch, rows: Tensor) -> Iterator[tuple[Tensor, CrystalGraph]]:
        try:
            graph = self.model.graph(structures[rows])
        except DataError:
            # a structure has no graph; which one is found by halves
            middle = len(rows) // 2
            if middle:
                yield from self._graphs(structures, rows[:middle])
                yield from self._graphs(structures, rows[middle:])
            return
        spaced = _is_spaced(graph).nonzero()[:, 0]
        if 0 < len(spaced) < len(rows):
            yield from self._graphs(structures, rows[spaced])
        elif len(spaced):
            yield rows, graph

    def judged(self, structures: StructureBatch) -> Tensor:
        good = _is_readable(structures)
        rows = good.nonzero()[:, 0]
        if len(rows):
            good[rows] = connected(structures[rows], FARTHEST)
        return good

    def _derivatives(self, structures: StructureBatch) -> Derivatives:
        return each_alone(self._differentiated, structures.to(self.model.scale.device))

    def _differentiated(self, structures: StructureBatch) -> Derivatives:
        return differentiated(partial(cell_energies, self.model), structures)

    def formation_energies(self, structures: StructureBatch, energy: Tensor) -> Tensor:
        return energy / structures.n_atoms

    def calculator(self) -> Any:
        """An ASE calculator with formation energies (eV, of the whole cell), forces and stress.

        Raises:
            ConfigError: the network's energies have no derivatives.
        """
        from gflownet_crystal.models.energies.calculator import EnergyCalculator

        return EnergyCalculator(self.model)


def build_model(
    tensors: dict[str, Tensor], card: dict[str, Any]
) -> tuple[EnergyModel, LatentDistance | None]:
    """Model and uncertainty from stored tensors.

    Raises:
        WeightsError: they do not fit the network that the card names.
    """
    with fitting_tensors(tensors, "the network of their card"):
        model = EnergyModel(build_network(card["network"]["name"], card["network"]["settings"]))
        model.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(UNCERTAINTY)})
        own = tensors_under(tensors, UNCERTAINTY)
        return model.eval().requires_grad_(False), LatentDistance.of(own) if own else None


def _is_readable(structures: StructureBatch) -> Tensor:
    """Structures with a cell and known elements, (n,) bool."""
    known = (structures.atomic_numbers > 0) & (structures.atomic_numbers < N_ATOMIC_NUMBERS)
    good = has_cell(structures, CLOSEST)
    good[structures.structure_index[~known]] = False
    return good


def _is_spaced(graph: CrystalGraph) -> Tensor:
    """Structures whose atoms have their nearest neighbours from ``CLOSEST`` to ``FARTHEST`` away, (n,) bool."""
    nearest = graph.vectors.new_full((graph.n_atoms,), torch.inf)
    nearest = nearest.scatter_reduce(0, graph.source, graph.lengths, "amin")
    spaced = torch.ones(graph.n_structures, dtype=torch.bool, device=graph.device)
    spaced[graph.structure_index[(nearest < CLOSEST) | (nearest > FARTHEST)]] = False
    return spaced
