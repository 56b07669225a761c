"""First features of atoms: of their element, and of further features of their structure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.gemsnet.layers import Dense
from gflownet_crystal.models.layers.elements import N_ELEMENT_FEATURES, element_features
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS


class AtomEmbedding(nn.Module):
    """A learned vector for each element, plus linear functions of tabulated and of given features.

    Args:
        width: width of the features.
        conditioning: width of a vector given with each structure or atom, such as a time embedding; 0 for none.
        tabulated: whether to read the tabulated features of the elements.
        generator: random generator of the initial weights.
    """

    features: Tensor

    def __init__(self, width: int, conditioning: int, tabulated: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.randn(N_ATOMIC_NUMBERS, width, generator=generator))
        self.width = conditioning
        self.conditioning = Dense(conditioning, width, generator) if conditioning else None
        self.tabulated = Dense(N_ELEMENT_FEATURES, width, generator) if tabulated else None
        if tabulated:
            self.register_buffer("features", element_features(), persistent=False)

    def forward(self, graph: CrystalGraph, conditioning: Tensor | None) -> Tensor:
        """(N, width) of the atoms of n structures.

        Args:
            graph: the structures.
            conditioning: (n, conditioning) of structures or (N, conditioning) of atoms; None if that width is 0.

        Raises:
            DataError: the conditioning has another width or number of rows.
        """
        table = self.learned
        if self.tabulated is not None:
            table = table + self.tabulated(self.features)
        atoms = table.index_select(0, graph.atomic_numbers)
        given = (graph.n_structures, 0) if conditioning is None else tuple(conditioning.shape)
        expected = (graph.n_structures, self.width)
        if given not in (expected, (graph.n_atoms, self.width)):
            raise DataError(f"conditioning is {given}: this network was built for {expected}")
        if self.conditioning is None or conditioning is None:
            return atoms
        more: Tensor = self.conditioning(conditioning)
        # if there are as many structures as atoms, the two are the same
        return atoms + (more if len(more) == len(atoms) else more.index_select(0, graph.structure_index))
