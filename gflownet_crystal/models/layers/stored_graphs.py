"""Graphs of a fixed set of structures, computed once and cut into batches on their device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.graphs import Graph
from gflownet_crystal.structures.graphs import triplets as triplets_of
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class StoredGraphs:
    """Graphs of n structures with N atoms and E edges in all.

    A neighbour search takes hundreds of small steps a batch, which on a GPU cost more than a network's training step;
    cutting a batch out of stored graphs takes about twenty.

    Attributes:
        atoms: (n,) int64, atoms of each structure.
        edges: (n,) int64, edges of each structure.
        whole: the graph of all structures, without triplets; its ``cell`` is (n, 3, 3).
    """

    atoms: Tensor
    edges: Tensor
    whole: CrystalGraph

    @classmethod
    def of(
        cls,
        structures: StructureBatch,
        graph: Callable[[StructureBatch], CrystalGraph],
        batch_atoms: int = 8192,
    ) -> Self:
        """Compute the graphs of structures.

        Args:
            structures: n structures, on the device where the graphs are kept.
            graph: function that gives the graph of a batch; its triplets are dropped, as they follow from the edges.
            batch_atoms: atoms of a batch at most; bounds the memory of the search.

        Raises:
            DataError: a structure has no graph.
        """
        batches = batches_of_atoms(structures.n_atoms, batch_atoms)
        parts = [graph(structures[rows]) for rows in batches]
        order = torch.cat(batches).to(structures.device)
        bare = [replace(part, first=part.first[:0], second=part.second[:0]) for part in parts]
        sorted_by_size = cls._sized(_joined(bare))
        whole = sorted_by_size.batch(order.argsort(), triplets=False)
        return cls._sized(whole)

    @classmethod
    def _sized(cls, whole: CrystalGraph) -> Self:
        atoms = torch.bincount(whole.structure_index, minlength=whole.n_structures)
        owner = whole.structure_index.index_select(0, whole.source)
        return cls(atoms, torch.bincount(owner, minlength=whole.n_structures), whole)

    def batch(self, rows: Tensor, triplets: bool = True) -> CrystalGraph:
        """The graph of some structures, as a search of them alone would give it.

        Args:
            rows: (b,) int64, structures in the order of the batch, on the device of the graphs.
            triplets: whether pairs of edges are listed.
        """
        whole = self.whole
        structure, atom = _members(rows, self.atoms)
        owner, edge = _members(rows, self.edges)
        # from an atom's or edge's place among all to its place in the batch
        moved_atoms = _moves(rows, self.atoms).index_select(0, owner)
        source = whole.source.index_select(0, edge) + moved_atoms
        target = whole.target.index_select(0, edge) + moved_atoms
        reverse = whole.reverse
        if reverse is not None:
            reverse = reverse.index_select(0, edge) + _moves(rows, self.edges).index_select(0, owner)
        first = second = source[:0]
        if triplets:
            first, second = triplets_of(Graph(source, target, target.new_empty(0, 3), len(atom)))
        return CrystalGraph(
            atomic_numbers=whole.atomic_numbers.index_select(0, atom),
            structure_index=structure,
            n_structures=len(rows),
            source=source,
            target=target,
            vectors=whole.vectors.index_select(0, edge),
            reverse=reverse,
            first=first,
            second=second,
            cell=whole.cell.index_select(0, rows),
            weights=None if whole.weights is None else whole.weights.index_select(0, edge),
        )


def _members(rows: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Members of the chosen structures: the place of each one's structure in the batch, and its place among all."""
    starts = sizes.cumsum(0) - sizes
    return expand(starts.index_select(0, rows), sizes.index_select(0, rows))


def _moves(rows: Tensor, sizes: Tensor) -> Tensor:
    """Difference from places among all to places in the batch, for each chosen structure, (b,) int64."""
    chosen = sizes.index_select(0, rows)
    starts = sizes.cumsum(0) - sizes
    return (chosen.cumsum(0) - chosen) - starts.index_select(0, rows)


def _joined(graphs: list[CrystalGraph]) -> CrystalGraph:
    """Graphs of several batches as one; triplets are left out."""
    atoms = structures = edges = 0
    columns: dict[str, list[Tensor]] = {name: [] for name in (
        "atomic_numbers", "structure_index", "source", "target", "vectors", "cell", "reverse", "weights"
    )}  # fmt: skip
    for graph in graphs:
        columns["atomic_numbers"].append(graph.atomic_numbers)
        columns["structure_index"].append(graph.structure_index + structures)
        columns["source"].append(graph.source + atoms)
        columns["target"].append(graph.target + atoms)
        columns["vectors"].append(graph.vectors)
        columns["cell"].append(graph.cell)
        if graph.reverse is not None:
            columns["reverse"].append(graph.reverse + edges)
        if graph.weights is not None:
            columns["weights"].append(graph.weights)
        atoms, structures, edges = (
            atoms + graph.n_atoms,
            structures + graph.n_structures,
            edges + graph.n_edges,
        )
    joined = {name: torch.cat(parts) if parts else None for name, parts in columns.items()}
    return replace(graphs[0], n_structures=structures, **joined)  # type: ignore[arg-type]
