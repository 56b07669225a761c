"""Reconstruction of crystals from noisy fractional positions: a network that moves the atoms and predicts the lattice.

The lattice is given as a cube of 1 Å, so the input is the elements and their approximate fractional positions (Klipfel
et al., "Unified model for crystal material generation", IJCAI 2023, section 5).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.devices import autocast
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.layers.element_values import fitted_volumes
from gflownet_crystal.models.layers.inputs import CrystalGraph, graph_for
from gflownet_crystal.models.layers.vector_fields import AtomOutput
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "denoiser"
"""Kind of the weights."""


class Action(NamedTuple):
    """Output of a denoiser for n crystals with N atoms.

    Attributes:
        displacement: (N, 3) in fractional coordinates, to be added to those given.
        cell: (n, 3, 3) Å, the new lattice vectors as rows.
    """

    displacement: Tensor
    cell: Tensor


class Denoiser(nn.Module):
    """A network's displacements, and its lattice action on the given cell, which may first be brought to a volume.

    With volumes, the given cell is stretched equally in all directions to the volume that its elements have on average:
    the network then reads distances as they are in crystals, whatever the number of atoms, and has less to deform.
    Elements do not depend on how a crystal is described, so the symmetries of the network stay.

    Args:
        network: network from a :class:`~gflownet_crystal.models.layers.inputs.CrystalGraph` to an output with
            ``lattice_action``; its ``settings.graph`` say which graph it reads.
        volumes: whether cells are brought to their elements' volume.
    """

    element_volume: Tensor

    def __init__(self, network: nn.Module, volumes: bool = True) -> None:
        super().__init__()
        self.network = network
        self.volumes = volumes
        self.register_buffer("element_volume", torch.ones(N_ATOMIC_NUMBERS))

    @classmethod
    def from_weights(cls, weights: str | Path) -> Self:
        """A trained denoiser, on the CPU.

        Args:
            weights: name of shipped weights, or a ``.safetensors`` file of ``train_denoiser``.

        Raises:
            WeightsError: there are none, or they are of another kind.
        """
        tensors, card = load_weights(weights, KIND)
        with fitting_card(weights):
            network = build_network(card["network"]["name"], card["network"]["settings"])
            denoiser = cls(network, card["volumes"])
            denoiser.load_state_dict(tensors)
        return denoiser.eval()

    @torch.no_grad()
    def fit_volumes(self, structures: StructureBatch) -> None:
        """Set the elements' volumes by ridge regression on volumes per atom, Å^3."""
        self.element_volume.copy_(fitted_volumes(structures))

    @property
    def learned_elements(self) -> Tensor:
        """Elements of the training set, (119,) bool; the others have the mean volume, as number 0 has."""
        return self.element_volume != self.element_volume[0]

    def graph(self, structures: StructureBatch) -> CrystalGraph:
        """The graph that the network reads, in the dtype of its weights; cells are first brought to their volume.

        Raises:
            DataError: a structure has no such graph.
        """
        if self.volumes:
            structures = replace(structures, cell=structures.cell * self._stretch(structures)[:, None, None])
        return graph_for(self.network, structures, self.element_volume.dtype)

    def forward(self, graph: CrystalGraph) -> Action:
        """Action on the crystals of a graph; displacements are 0 if the network gives none.

        Raises:
            ConfigError: the network gives no lattice action.
        """
        output: AtomOutput = self.network(graph)
        if output.lattice_action is None:
            raise ConfigError(
                f"a {type(self.network).__name__} without lattice action was given: switch it on"
            )
        displacement = output.displacement
        if displacement is None:
            displacement = graph.vectors.new_zeros((graph.n_atoms, 3))
        # a sum of products, as matrix products run in half precision under autocast
        made = (graph.cell[:, :, :, None] * output.lattice_action[:, None, :, :]).sum(2)
        return Action(displacement, made)

    def _stretch(self, structures: StructureBatch) -> Tensor:
        """Factor from the lengths of each cell to those of one with its elements' volume, (n,) float64."""
        volume = structures.volume.new_zeros(len(structures)).index_add_(
            0, structures.structure_index, self.element_volume.double()[structures.atomic_numbers]
        )
        return (volume / structures.volume) ** (1.0 / 3.0)

    @torch.no_grad()
    def actions(self, structures: StructureBatch, atoms: int = 512, half: bool = False) -> Action:
        """Actions on any number of structures, without gradients; cells count as they are given.

        Args:
            structures: n structures on the model's device.
            atoms: maximum number of atoms of a batch; bounds the memory.
            half: bfloat16 for the matrix products.

        Returns:
            Actions in float64.
        """
        displacement, cell = torch.empty_like(structures.fractional), torch.empty_like(structures.cell)
        for rows in batches_of_atoms(structures.n_atoms, atoms):
            part = structures[rows]
            with autocast(structures.device, half):
                action = self(self.graph(part))
            # from an atom's place in the part to its place among all
            moved = _starts(structures)[rows] - _starts(part)
            atoms_of_all = (
                torch.arange(len(part.fractional), device=part.device) + moved[part.structure_index]
            )
            displacement[atoms_of_all] = action.displacement.double()
            cell[rows] = action.cell.double()
        return Action(displacement, cell)

    def denoised(self, structures: StructureBatch, half: bool = False) -> StructureBatch:
        """Structures made again from the fractional positions of those given, whose lattices are not looked at.

        Args:
            structures: n structures on the model's device.
            half: bfloat16 for the matrix products.

        Returns:
            The same atoms in the same order, coordinates in [0, 1); the lattice stands as the network turned the
            cube, and no space group is claimed.
        """
        cubes = in_unit_cubes(structures)
        action = self.actions(cubes, half=half)
        fractional = (cubes.fractional + action.displacement) % 1.0
        return replace(cubes, cell=action.cell, fractional=fractional)


def in_unit_cubes(structures: StructureBatch) -> StructureBatch:
    """The same fractional positions in cubes of 1 Å, without space groups."""
    cube = torch.eye(3, dtype=structures.cell.dtype, device=structures.device)
    return replace(
        structures,
        cell=cube.expand_as(structures.cell).clone(),
        space_group=torch.zeros_like(structures.space_group),
    )


def _starts(structures: StructureBatch) -> Tensor:
    sizes = structures.n_atoms
    return sizes.cumsum(0) - sizes
