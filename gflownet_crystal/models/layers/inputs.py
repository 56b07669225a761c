"""Inputs of the networks on atoms: the periodic graph of a batch of structures, as tensors of one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import NonNegative
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.models.layers.fading import edge_weights
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.graphs import Graph, neighbour_graph, reverse_edges
from gflownet_crystal.structures.graphs import triplets as triplets_of
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class GraphSettings(CheckedFields):
    """Which atoms are neighbours; see :func:`gflownet_crystal.structures.graphs.neighbour_graph`.

    Attributes:
        cutoff: longest edge, Å; None for no limit (then ``neighbours`` is needed).
        neighbours: k of the k-nearest graph; None for all within the cutoff.
        tolerance: atoms this close to the k-th distance, Å, belong to its shell and are kept.
        symmetric: whether the reverse of every edge is an edge.
        fade: if positive, edges lose their weight smoothly over the last stretch of this length, Å. Then ``neighbours``
            is the sum of an atom's weights, and ``tolerance`` is not needed; see
            :mod:`gflownet_crystal.models.layers.fading`.

    Raises:
        ConfigError: ``fade`` is negative; ``neighbour_graph`` checks the other settings.
    """

    cutoff: float | None = 8.0
    neighbours: int | None = 12
    tolerance: float = 1e-2
    symmetric: bool = True
    fade: NonNegative = 0.0


@dataclass(frozen=True)
class CrystalGraph(CopiedToDevice):
    """n structures, N atoms, E directed edges sorted by source atom, T triplets (pairs of edges of one atom).

    Attributes:
        atomic_numbers: (N,) int64, 1 to 118.
        structure_index: (N,) int64, the structure of each atom, not decreasing.
        n_structures: n.
        source: (E,) int64, the atom an edge leaves, not decreasing.
        target: (E,) int64, the atom it leads to.
        vectors: (E, 3) from source to (the image of) target, Å.
        reverse: (E,) int64, the edge from target back to source, of the opposite vector; None if not asked for.
        first: (T,) int64, first edge of each triplet, not decreasing; ``source[first] == source[second]``.
        second: (T,) int64, second edge of each triplet; never the first.
        cell: (n, 3, 3) lattice vectors as rows, Å, dtype of ``vectors``.
        weights: (E,) weight of each edge, 0 to 1, dtype of ``vectors``; None where edges do not fade.
    """

    atomic_numbers: Tensor
    structure_index: Tensor
    n_structures: int
    source: Tensor
    target: Tensor
    vectors: Tensor
    reverse: Tensor | None
    first: Tensor
    second: Tensor
    cell: Tensor
    weights: Tensor | None = None

    @property
    def n_atoms(self) -> int:
        """N, atoms of all structures."""
        return int(self.atomic_numbers.shape[0])

    @property
    def n_edges(self) -> int:
        """E, edges of all structures."""
        return int(self.source.shape[0])

    @property
    def device(self) -> torch.device:
        """Device of all tensors."""
        return self.vectors.device

    @property
    def lengths(self) -> Tensor:
        """Edge lengths, (E,), Å."""
        return self.vectors.norm(dim=1)


def crystal_graph(
    batch: StructureBatch,
    settings: GraphSettings,
    dtype: torch.dtype = torch.float32,
    cell: Tensor | None = None,
    fractional: Tensor | None = None,
    triplets: bool = True,
    reverse: bool = True,
) -> CrystalGraph:
    """The graph of a batch, on its device.

    Args:
        batch: n structures with N atoms.
        settings: definition of the neighbours of atoms.
        dtype: dtype of vectors, cells and weights; they are computed in the dtype of the inputs and rounded once.
        cell: (n, 3, 3) in place of the batch's (same values): gradients flow to it.
        fractional: (N, 3) in place of the batch's (same values): gradients flow to it.
        triplets: whether the model needs pairs of edges; they are empty otherwise.
        reverse: whether it needs the reverse of each edge (symmetric graphs only).

    Raises:
        DataError: an atomic number is not 1 to 118, or the batch has no such graph (open cells, overlapping atoms).
    """
    _check_elements(batch)
    cell = batch.cell if cell is None else cell
    fractional = batch.fractional if fractional is None else fractional
    graph = neighbour_graph(
        batch,
        cutoff=settings.cutoff,
        neighbours=settings.neighbours,
        tolerance=max(settings.tolerance, settings.fade),
        symmetric=settings.symmetric,
    )
    backward = reverse_edges(graph) if reverse else None
    vectors = graph.vectors(fractional, cell, batch.structure_index)
    weights = None
    if settings.fade > 0.0:
        weights = edge_weights(
            vectors.norm(dim=1),
            graph.source,
            graph.target,
            graph.n_atoms,
            cutoff=settings.cutoff,
            neighbours=settings.neighbours,
            fade=settings.fade,
            symmetric=settings.symmetric,
        )
        graph, backward, vectors, weights = _without_faded(graph, backward, vectors, weights)
    empty = graph.source.new_empty(0)
    first, second = triplets_of(graph) if triplets else (empty, empty)
    return CrystalGraph(
        atomic_numbers=batch.atomic_numbers,
        structure_index=batch.structure_index,
        n_structures=len(batch),
        source=graph.source,
        target=graph.target,
        vectors=vectors.to(dtype),
        reverse=backward,
        first=first,
        second=second,
        cell=cell.to(dtype),
        weights=None if weights is None else weights.to(dtype),
    )


def graph_for(
    network: nn.Module,
    batch: StructureBatch,
    dtype: torch.dtype,
    cell: Tensor | None = None,
    fractional: Tensor | None = None,
) -> CrystalGraph:
    """The graph that a network reads: its ``settings.graph``, with triplets and reverse edges unless it needs none.

    Args:
        network: network that reads the graph; its ``needs_triplets`` and ``needs_reverse``, if any, say which parts.
        batch: n structures with N atoms.
        dtype: dtype of vectors, cells and weights.
        cell: (n, 3, 3) in place of the batch's; see :func:`crystal_graph`.
        fractional: (N, 3) in place of the batch's.

    Raises:
        DataError: the batch has no such graph.
    """
    settings: GraphSettings = cast(Any, network).settings.graph
    triplets = bool(getattr(network, "needs_triplets", True))
    reverse = bool(getattr(network, "needs_reverse", True))
    return crystal_graph(batch, settings, dtype, cell, fractional, triplets, reverse)


def _check_elements(batch: StructureBatch) -> None:
    known = (batch.atomic_numbers > 0) & (batch.atomic_numbers < N_ATOMIC_NUMBERS)
    if not bool(known.all()):
        atom = int((~known).nonzero()[0, 0])
        number, structure = int(batch.atomic_numbers[atom]), int(batch.structure_index[atom])
        raise DataError(f"structure {structure} has an atom of atomic number {number}: known are 1 to 118")


def _without_faded(
    graph: Graph, reverse: Tensor | None, vectors: Tensor, weights: Tensor
) -> tuple[Graph, Tensor | None, Tensor, Tensor]:
    """The same without edges of weight zero; an edge and its reverse stay or go together."""
    kept = weights > 0.0
    if reverse is not None:
        # the two lengths of a bond differ by rounding
        kept |= kept[reverse]
        new_place = kept.cumsum(0) - 1
        reverse = new_place[reverse[kept]]
    return graph.select(kept), reverse, vectors[kept], weights[kept]
