"""Properties of structures by small networks on the last states of an energy network that sees atoms."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.learned_property import Components, LearnedProperty
from gflownet_crystal.structures.structure import StructureBatch

KIND = "structure_property"


class StructureProperty(LearnedProperty):
    """A property of crystals with their atoms, with a calibrated standard deviation.

    Name and unit of the property stand on the card of the weights. Values are NaN for structures that the energy
    network cannot judge, see :class:`~gflownet_crystal.models.energies.trained.TrainedEnergies`.

    Args:
        weights: path of a ``.safetensors`` file of ``train_property training=property_atoms``, with its card beside it.
        batch_atoms: atoms that the network sees at a time; bounds the memory, not the result.
        energies: weights of the energy network whose states the heads read.

    Raises:
        ConfigError: ``batch_atoms`` below 1.
        WeightsError: the weights are missing, corrupt, of another network, or were trained on another network.
    """

    kind: ClassVar[str] = KIND
    input_kind: ClassVar[str] = "structures"
    base: TrainedEnergies

    def __init__(self, weights: str | Path, batch_atoms: int = 1024, energies: str | Path = "alignn") -> None:
        self.base = TrainedEnergies(energies, batch_atoms)
        super().__init__(weights)

    @torch.no_grad()
    def components(self, batch: StructureBatch) -> Components:
        """Outputs of the heads for n structures; NaN for those that the energy network cannot judge."""
        found = batch.cell.new_full((3, len(batch)), torch.nan)
        for rows, graph in self.base.graphs(batch):
            features = self.base.model.layer_features(graph)
            found[:, rows] = torch.stack(self.read(self.shared(features)))
        return found[0], found[1], found[2], torch.zeros_like(found[0])

    def shared(self, features: Tensor) -> Tensor:
        """Features (n, f) as each member of the heads reads them, (members, n, f)."""
        # weights of earlier versions read the first of them, the means over the atoms
        read = features[:, : int(self.heads.arguments["inputs"])]
        return read.float().expand(int(self.heads.arguments["members"]), -1, -1)
