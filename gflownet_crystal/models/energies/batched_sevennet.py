"""Energies of many structures at once by SevenNet, from edges whose vectors gradients flow through."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gflownet_crystal.structures.graphs import neighbour_graph
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    from sevenn.calculator import SevenNetCalculator


class BatchedSevenNet:
    """SevenNet's network without its layer of forces and stress.

    Args:
        calculator: SevenNet's own calculator, whose weights are shared.
    """

    def __init__(self, calculator: SevenNetCalculator) -> None:
        # shallow copies of the network's parts: how they read a batch is set in each of them
        self._model = copy.copy(calculator.model)
        self._model._modules = {
            name: copy.copy(part)
            for name, part in calculator.model._modules.items()
            if name != "force_output"
        }
        self._model.set_is_batch_data(True)
        self._cutoff, self._modal, self._device = (
            float(calculator.cutoff),
            calculator.modal,
            calculator.device,
        )

    def __call__(self, structures: StructureBatch, cell: Tensor, fractional: Tensor) -> Tensor:
        """Total energies (n,), eV.

        Args:
            structures: n structures.
            cell: (n, 3, 3) their cells.
            fractional: (N, 3) their coordinates.
        """
        import sevenn._keys as key
        from sevenn.atom_graph_data import AtomGraphData

        graph = neighbour_graph(structures, cutoff=self._cutoff)
        data = AtomGraphData(
            x=structures.atomic_numbers,
            edge_index=torch.stack([graph.source, graph.target]),
            pos=(fractional[:, None] @ cell[structures.structure_index])[:, 0].detach(),
        )
        data[key.ATOMIC_NUMBERS] = structures.atomic_numbers
        data[key.EDGE_VEC] = graph.vectors(fractional, cell, structures.structure_index).float()
        data[key.CELL_VOLUME] = structures.volume
        data[key.NUM_ATOMS] = structures.n_atoms
        data[key.BATCH] = structures.structure_index
        if self._modal:
            data[key.DATA_MODALITY] = [self._modal] * len(structures)
        energy: Tensor = self._model(data)[key.PRED_TOTAL_ENERGY]
        return energy
