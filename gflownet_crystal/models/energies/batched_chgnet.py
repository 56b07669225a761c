"""Energies of many structures at once by CHGNet, with its two graphs made of tensors instead of Python objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gflownet_crystal.structures.graphs import Graph, neighbour_graph, reverse_edges, triplets
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    from chgnet.model.model import CHGNet


class BatchedCHGNet:
    """CHGNet's network without its own derivatives, which are made to be differentiated once more.

    Args:
        model: network, whose weights are shared.
    """

    def __init__(self, model: CHGNet) -> None:
        self._model = model
        self._reach = float(model.graph_converter.atom_graph_cutoff)
        self._bonded = float(model.graph_converter.bond_graph_cutoff)

    def __call__(self, structures: StructureBatch, cell: Tensor, fractional: Tensor) -> Tensor:
        """Total energies (n,), eV.

        Args:
            structures: n structures.
            cell: (n, 3, 3) their cells.
            fractional: (N, 3) their coordinates.
        """
        graph = neighbour_graph(structures, cutoff=self._reach)
        vectors = graph.vectors(fractional, cell, structures.structure_index).float()
        near = vectors.detach().norm(dim=1) <= self._bonded
        bonds = graph.source[near].bincount(minlength=graph.n_atoms)
        angled = structures.structure_index[bonds > 1].bincount(minlength=len(structures)) > 0
        # CHGNet leaves out its layers of angles where a batch has none, and some add a constant
        energy = vectors.new_empty(len(structures))
        for part in (angled, ~angled):
            if bool(part.any()):
                atoms = part[structures.structure_index]
                edges = atoms[graph.source]
                energy[part] = self._energies(
                    structures[part], graph.among(atoms), vectors[edges], near[edges]
                )
        return energy

    def _energies(self, structures: StructureBatch, graph: Graph, vectors: Tensor, near: Tensor) -> Tensor:
        """Total energies of structures that all have angles, or none.

        Args:
            structures: n structures.
            graph: their neighbours.
            vectors: (E, 3) Å, the edges.
            near: (E,) bool, edges short enough for angles.
        """
        from chgnet.model.model import BatchedGraph

        model, chosen = self._model, near.nonzero()[:, 0]
        left, right = (chosen[edges] for edges in triplets(graph.select(near)))
        reverse = reverse_edges(graph)
        # the first of the two edges of each bond stands for it
        edges = torch.arange(len(graph), device=vectors.device)
        bond_of = torch.minimum(edges, reverse)
        first, bond_of = bond_of.unique(return_inverse=True)
        zero = torch.zeros_like(vectors)
        in_atoms, in_bonds, directions = model.bond_basis_expansion(
            center=zero,
            neighbor=vectors,
            undirected2directed=first,
            image=zero,
            lattice=torch.eye(3, device=vectors.device),
        )
        angles = model.angle_basis_expansion(directions[left], directions[right])
        found = model._compute(
            BatchedGraph(
                atomic_numbers=structures.atomic_numbers,
                bond_bases_ag=in_atoms,
                bond_bases_bg=in_bonds,
                angle_bases=angles,
                batched_atom_graph=torch.stack([graph.source, graph.target], dim=1),
                batched_bond_graph=torch.stack([graph.source[left], bond_of[left], bond_of[right]], dim=1),
                atom_owners=structures.structure_index,
                directed2undirected=bond_of,
                atom_positions=[],
                strains=[],
                volumes=structures.volume,
            )
        )
        counts = structures.n_atoms
        energy: Tensor = found["e"]
        if model.composition_model is not None:
            energy = energy + self._elements(structures)
        return energy * counts if model.is_intensive else energy

    def _elements(self, structures: StructureBatch) -> Tensor:
        model: Any = self._model.composition_model
        features = structures.composition[:, 1 : model.max_num_elements + 1].float()
        if model.is_intensive:
            features = features / structures.n_atoms[:, None]
        energy: Tensor = model.fc(features).view(-1)
        return energy
