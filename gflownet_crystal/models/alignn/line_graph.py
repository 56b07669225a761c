"""The line graph of a crystal: its nodes are bonds, and a bond u -> v sends to every bond v -> w but its reverse."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.alignn.edge_gate import Block
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.layers.linear import PRODUCT_ROWS
from gflownet_crystal.models.layers.padding import padded

_CACHED_NUMBERS = 1 << 19


def line_graph(
    graph: CrystalGraph, bonds: CrystalGraph, width: int
) -> tuple[tuple[Block, ...], tuple[Tensor, ...]]:
    """The bonds as nodes, linked by triplets.

    The triplet (first, second) of edges that leave one atom makes the reverse of the second, which enters that atom,
    send to the first.

    Args:
        graph: a symmetric graph with triplets and the reverse of its edges.
        bonds: the same as :func:`bonds_of` gives it.
        width: numbers that a network keeps of a triplet: blocks of triplets are cut so that they stay in a CPU's
            cache. Elsewhere there is one block.

    Returns:
        The links, which share states by pairs of edges, and the cosines of the angles of the pairs of each block.

    Raises:
        DataError: the graph was made without triplets or without the reverse of its edges.
    """
    if bonds.reverse is None:
        raise DataError(
            "the graph lacks the reverse of its edges: make it with reverse=True, from a symmetric graph"
        )
    sizes = _block_sizes(graph, max(1, _CACHED_NUMBERS // width))
    if sum(sizes) != len(graph.first):
        raise DataError(
            f"the graph has {len(graph.first)} of {sum(sizes)} triplets: make it with triplets=True"
        )
    pair, pair_first, pair_second = _pairs(graph)
    directions = graph.vectors / graph.lengths[:, None]
    cosines = (directions.index_select(0, pair_first) * directions.index_select(0, pair_second)).sum(1)
    weights = edge_weights_of(bonds).index_select(0, graph.second)
    senders = bonds.reverse.index_select(0, graph.second)
    blocks, block_cosines, start = [], [], 0
    for receiver, sender, weight, shared in zip(
        *(x.split(sizes) for x in (graph.first, senders, weights, pair)), strict=True
    ):
        # links that fill up a block have weight zero
        missing = (0, -len(receiver) % PRODUCT_ROWS)
        n_pairs = len(receiver) // 2
        blocks.append(
            Block(
                pad(receiver, missing),
                pad(sender, missing),
                pad(weight, missing)[:, None],
                pad(shared - start, missing),
            )
        )
        block_cosines.append(pad(cosines[start : start + n_pairs], (0, -n_pairs % PRODUCT_ROWS)))
        start += n_pairs
    return tuple(blocks), tuple(block_cosines)


def bonds_of(graph: CrystalGraph) -> CrystalGraph:
    """The graph without triplets, its edges with weights and filled up to a round number."""
    return padded(replace(graph, first=graph.first[:0], second=graph.second[:0]))


def crystal_links(bonds: CrystalGraph) -> tuple[Block, ...]:
    """The atoms as nodes, linked by edges: the target of an edge sends to its source.

    Args:
        bonds: bonds of :func:`bonds_of`.
    """
    return (Block(bonds.source, bonds.target, edge_weights_of(bonds)[:, None]),)


def edge_weights_of(graph: CrystalGraph) -> Tensor:
    """Weight of each edge, (E,), also where all weights are equal."""
    return graph.vectors.new_ones(graph.n_edges) if graph.weights is None else graph.weights


def _pairs(graph: CrystalGraph) -> tuple[Tensor, Tensor, Tensor]:
    """Unordered pairs of edges of one atom, which are two triplets of one angle: (T,), and their edges, (T / 2,)."""
    first, second = graph.first, graph.second
    degree = torch.bincount(graph.source, minlength=graph.n_atoms)
    first_edge = (degree.cumsum(0) - degree).index_select(0, graph.source)
    run = (degree - 1).index_select(0, graph.source)
    first_triplet = run.cumsum(0) - run
    # triplets stand by first, then by second edge
    mirrored = first_triplet[second] + first - first_edge[first] - (first > second).long()
    rising = first < second
    rank = rising.cumsum(0) - 1
    pair = torch.where(rising, rank, rank[mirrored])
    ends = first.new_empty(2, len(first) // 2)
    return pair, *ends.scatter_(1, pair.expand(2, -1), torch.stack([first, second]).sort(dim=0).values)


def _block_sizes(graph: CrystalGraph, rows: int) -> list[int]:
    """Numbers of triplets of blocks of whole atoms with about ``rows`` triplets each."""
    if graph.device.type != "cpu":
        return [len(graph.first)]
    degree = torch.bincount(graph.source, minlength=graph.n_atoms)
    triplets = degree * (degree - 1)
    block = torch.unique_consecutive((triplets.cumsum(0) - triplets) // rows, return_inverse=True)[1]
    sizes = torch.zeros_like(triplets).index_add_(0, block, triplets)
    found: list[int] = sizes[: int(block[-1]) + 1].tolist()
    return found
