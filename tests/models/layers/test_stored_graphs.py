"""Graphs cut out of stored ones are those of a search."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from gflownet_crystal.models.layers.inputs import GraphSettings, crystal_graph
from gflownet_crystal.models.layers.stored_graphs import StoredGraphs
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.equivalents import known_crystals, random_crystals


def _crystals() -> StructureBatch:
    return StructureBatch.cat([known_crystals(), random_crystals(7, seed=0)])


@pytest.mark.parametrize("fade", [0.0, 0.5])
@pytest.mark.parametrize("batch_atoms", [8, 10_000])
def test_a_batch_of_stored_graphs_is_the_graph_of_a_search(fade: float, batch_atoms: int) -> None:
    structures, settings = _crystals(), GraphSettings(fade=fade)
    stored = StoredGraphs.of(structures, lambda batch: crystal_graph(batch, settings), batch_atoms)
    generator = torch.Generator().manual_seed(0)
    for rows in (torch.randperm(len(structures), generator=generator)[:5], torch.tensor([2, 2, 0])):
        found, wanted = stored.batch(rows), crystal_graph(structures[rows], settings)
        for field in fields(wanted):
            mine, other = getattr(found, field.name), getattr(wanted, field.name)
            if isinstance(other, Tensor):
                torch.testing.assert_close(mine, other, rtol=0, atol=0, msg=field.name)
            else:
                assert mine == other, field.name


def test_graphs_without_reverse_edges_or_triplets_stay_without() -> None:
    structures = _crystals()
    stored = StoredGraphs.of(
        structures, lambda batch: crystal_graph(batch, GraphSettings(symmetric=False), reverse=False)
    )
    graph = stored.batch(torch.arange(3), triplets=False)
    assert graph.reverse is None and len(graph.first) == 0 and graph.n_edges > 0
