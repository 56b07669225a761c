"""Padded graphs: round sizes, and no trace of the padding in what is summed over the graph."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gflownet_crystal.models.layers.inputs import GraphSettings, crystal_graph
from gflownet_crystal.models.layers.padding import ROUND, padded, round_size
from gflownet_crystal.models.layers.vector_fields import Triplets, unit_vectors
from tests.models.equivalents import random_crystals


def test_round_sizes_are_few_and_not_much_larger():
    sizes = {size: round_size(size) for size in range(20_000)}
    assert all(size <= rounded <= max(ROUND, size + ROUND, 1.125 * size) for size, rounded in sizes.items())
    assert all(rounded % ROUND == 0 and round_size(rounded) == rounded for rounded in sizes.values())
    assert len({rounded for size, rounded in sizes.items() if 4096 < size <= 16384}) == 16


@pytest.mark.parametrize("weighted", [False, True])
def test_added_edges_do_not_count_and_added_pairs_are_dropped(weighted):
    batch = random_crystals(3, seed=2)
    settings = GraphSettings(cutoff=None, neighbours=8, fade=0.5 if weighted else 0.0)
    graph = crystal_graph(batch, settings, torch.float64)
    full = padded(graph)
    n_edges, n_pairs = graph.n_edges, len(graph.first)
    assert full.n_edges == round_size(n_edges) > n_edges and len(full.first) == round_size(n_pairs) > n_pairs
    assert (full.source.diff() >= 0).all() and (full.source[full.reverse] == full.target).all()
    for name in ("source", "target", "vectors", "reverse"):
        assert torch.equal(getattr(full, name)[:n_edges], getattr(graph, name))
    expected = graph.weights if weighted else torch.ones(n_edges, dtype=torch.float64)
    assert torch.equal(full.weights[:n_edges], expected) and (full.weights[n_edges:] == 0).all()
    assert torch.equal(full.first[:n_pairs], graph.first) and torch.equal(full.second[:n_pairs], graph.second)
    counts = Triplets.of(unit_vectors(full.vectors)[1], full.first, full.second, full.weights).counts
    assert (counts[n_pairs:] == 0).all() and (counts[:n_pairs] > 0).any()


def test_graphs_without_edges_or_reverse_are_filled_too():
    batch = random_crystals(1, seed=2, most_atoms=1)
    empty = crystal_graph(batch, GraphSettings(cutoff=0.5, neighbours=None), triplets=False, reverse=False)
    full = padded(empty)
    assert empty.n_edges == 0 and full.n_edges == ROUND and full.reverse is None and len(full.first) == 0
    assert torch.isfinite(full.vectors).all() and (padded(replace(full)).source == full.source).all()
