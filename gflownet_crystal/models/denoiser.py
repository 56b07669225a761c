"""Reconstruction of crystals from noisy fractional positions: a network that moves the atoms and predicts the lattice.

The lattice is given as a cube of 1 Å, so the input is the elements and their approximate fractional positions (Klipfel
et al., "Unified model for crystal material generation", IJCAI 2023, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.bounds import Count
from gflownet_crystal.common.devices import autocast
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.layers.element_values import fitted_volumes
from gflownet_crystal.models.layers.inputs import CrystalGraph, graph_for
from gflownet_crystal.models.layers.vector_fields import AtomOutput
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "denoiser"
"""Kind of the weights."""

CLOSEST = 2e-3
"""Å; crystals with atoms closer than this have no graph: they are neither drawn for training nor passed on."""

_VOLUMES = (1 / 3, 3.0)
"""Range of the volume of a cell that is passed on, in units of its elements' volume."""


class Action(NamedTuple):
    """Output of a denoiser for n crystals with N atoms.

    Attributes:
        displacement: (N, 3) in fractional coordinates, to be added to those given.
        cell: (n, 3, 3) Å, the new lattice vectors as rows.
    """

    displacement: Tensor
    cell: Tensor


@dataclass(frozen=True)
class DenoiserSettings(CheckedFields):
    """Passes of a denoiser's network over a crystal.

    Attributes:
        volumes: whether the given cells are first stretched equally in all directions to the volume that their elements
            have on average: the network then reads distances as they are in crystals, whatever the number of atoms,
            and has less to deform. Elements do not depend on how a crystal is described, so the symmetries of the
            network stay.
        passes: number of passes of the network; each further one reads the crystal that the one before it made.
    """

    place = "model"

    volumes: bool = True
    passes: Count = 1


class Denoiser(nn.Module):
    """A network's displacements, and its lattice action on the given cell, in one or several passes.

    Args:
        network: network from a :class:`~gflownet_crystal.models.layers.inputs.CrystalGraph` to an output with
            ``lattice_action``; its ``settings.graph`` say which graph it reads.
        settings: settings of its passes.
    """

    element_volume: Tensor

    def __init__(self, network: nn.Module, settings: DenoiserSettings | None = None) -> None:
        super().__init__()
        self.network = network
        self.settings = DenoiserSettings() if settings is None else settings
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
            # cards of earlier versions name the volumes only
            used = card["passing"] if "passing" in card else {"volumes": card["volumes"]}
            denoiser = cls(network, settings_from(DenoiserSettings, used, "passing"))
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

    def begun(self, structures: StructureBatch) -> StructureBatch:
        """The structures as the first pass reads them, with cells of their elements' volume if that is set."""
        if not self.settings.volumes:
            return structures
        factor = (self._volumes(structures) / structures.volume) ** (1.0 / 3.0)
        return replace(structures, cell=structures.cell * factor[:, None, None])

    def graph(self, structures: StructureBatch) -> CrystalGraph:
        """The graph that the network reads, in the dtype of its weights.

        Raises:
            DataError: a structure has no such graph.
        """
        return graph_for(self.network, structures, self.element_volume.dtype)

    def forward(self, graph: CrystalGraph) -> Action:
        """Action on the crystals of a graph; displacements are 0 if the network gives none.

        Raises:
            ConfigError: the network gives no lattice action.
        """
        output: AtomOutput = self.network(graph)
        if output.lattice_action is None:
            raise ConfigError(f"this {type(self.network).__name__} has no lattice heads; set lattice=true")
        displacement = output.displacement
        if displacement is None:
            displacement = graph.vectors.new_zeros((graph.n_atoms, 3))
        # a sum of products, as matrix products run in half precision under autocast
        made = (graph.cell[:, :, :, None] * output.lattice_action[:, None, :, :]).sum(2)
        return Action(displacement, made)

    @torch.no_grad()
    def passed(
        self, structures: StructureBatch, passes: int, known: bool = False
    ) -> tuple[StructureBatch, Tensor]:
        """Structures after some passes, as the next pass reads them.

        Args:
            structures: n structures with N atoms on the model's device.
            passes: number of passes.
            known: whether the lattices are known and stay.

        Returns:
            The structures, and the displacements so far, (N, 3) float64 fractional. A structure of which a pass makes
            no sound crystal stays as it is in this pass.
        """
        moved, (least, most) = torch.zeros_like(structures.fractional), _VOLUMES
        for _ in range(passes):
            action = self(self.graph(structures))
            fractional = (structures.fractional + action.displacement.double()) % 1.0
            cell = structures.cell if known else action.cell.double()
            made = replace(structures, cell=cell, fractional=fractional)
            ratio = made.volume / self._volumes(made)
            sound = usable(made, CLOSEST) & (ratio > least) & (ratio < most)
            kept = sound[structures.structure_index][:, None]
            moved += torch.where(kept, action.displacement.double(), 0.0)
            structures = replace(
                structures,
                cell=torch.where(sound[:, None, None], made.cell, structures.cell),
                fractional=torch.where(kept, fractional, structures.fractional),
            )
        return structures, moved

    def _volumes(self, structures: StructureBatch) -> Tensor:
        """Volume of each cell as its elements have it on average, (n,) float64, Å^3."""
        return structures.volume.new_zeros(len(structures)).index_add_(
            0, structures.structure_index, self.element_volume.double()[structures.atomic_numbers]
        )

    @torch.no_grad()
    def actions(
        self, structures: StructureBatch, atoms: int = 512, half: bool = False, known: bool = False
    ) -> Action:
        """Actions of all passes together on any number of structures, without gradients, from the cells given.

        Args:
            structures: n structures on the model's device.
            atoms: maximum number of atoms of a batch; bounds the memory.
            half: bfloat16 for the matrix products.
            known: whether the lattices are known: then each pass reads the cells given, in the volume that they have.

        Returns:
            Actions in float64; the cells are those of the last pass, also where they were known.
        """
        displacement, cell = torch.empty_like(structures.fractional), torch.empty_like(structures.cell)
        for rows in batches_of_atoms(structures.n_atoms, atoms):
            part = structures[rows]
            with autocast(structures.device, half):
                part = part if known else self.begun(part)
                part, before = self.passed(part, self.settings.passes - 1, known)
                action = self(self.graph(part))
            # from an atom's place in the part to its place among all
            moved = _starts(structures)[rows] - _starts(part)
            atoms_of_all = (
                torch.arange(len(part.fractional), device=part.device) + moved[part.structure_index]
            )
            displacement[atoms_of_all] = before + action.displacement.double()
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
