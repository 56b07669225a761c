"""Graphs padded to round sizes: kernels are prepared again for each size, so few should occur."""

from __future__ import annotations

from dataclasses import replace

import torch

from gflownet_crystal.models.layers.inputs import CrystalGraph

ROUND = 64
"""Sizes are multiples of this."""

_STEPS_AN_OCTAVE = 8


def round_size(size: int) -> int:
    """The next round size: multiples of 64, and beyond 1,024 eight sizes an octave, so at most an eighth more."""
    step = max(ROUND, (1 << max(size.bit_length() - 1, 0)) // _STEPS_AN_OCTAVE)
    return -(-max(size, 1) // step) * step


def padded(graph: CrystalGraph) -> CrystalGraph:
    """The same graph with edges that do not count and pairs that are dropped, up to round numbers of both.

    The edges lead from the last atom to itself and have weight 0; the pairs are of an edge with itself.

    Args:
        graph: graph with at least one atom.
    """
    n_edges, n_pairs = graph.n_edges, len(graph.first)
    extra = round_size(n_edges) - n_edges
    atoms = graph.source.new_full((extra,), graph.n_atoms - 1)
    vectors = graph.vectors.new_ones(extra, 3)
    weights = graph.vectors.new_ones(n_edges) if graph.weights is None else graph.weights
    reverse = graph.reverse
    if reverse is not None:
        reverse = torch.cat([reverse, torch.arange(n_edges, n_edges + extra, device=reverse.device)])
    pairs = graph.first.new_zeros(round_size(n_pairs) - n_pairs if n_pairs else 0)
    return replace(
        graph,
        source=torch.cat([graph.source, atoms]),
        target=torch.cat([graph.target, atoms]),
        vectors=torch.cat([graph.vectors, vectors]),
        weights=torch.cat([weights, weights.new_zeros(extra)]),
        reverse=reverse,
        first=torch.cat([graph.first, pairs]),
        second=torch.cat([graph.second, pairs]),
    )
