"""Graphs as networks read them: against pymatgen, and with edges that fade."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.layers.inputs import CrystalGraph, GraphSettings, crystal_graph
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.equivalents import known_crystals, random_crystals

SETTINGS = {
    "within": GraphSettings(cutoff=4.0, neighbours=None),
    "nearest": GraphSettings(),
    "fading": GraphSettings(fade=0.5),
    "fading within": GraphSettings(cutoff=4.0, neighbours=None, fade=1.0),
    "directed": GraphSettings(symmetric=False, fade=0.3),
}


def edges_of(graph: CrystalGraph) -> Counter[tuple[int, int, tuple[float, ...]]]:
    rows = zip(graph.source.tolist(), graph.target.tolist(), graph.vectors.tolist(), strict=True)
    return Counter((u, v, tuple(round(x, 6) + 0.0 for x in vector)) for u, v, vector in rows)


@pytest.mark.parametrize("kind", ["known", "random"])
def test_edges_within_a_cutoff_are_those_of_pymatgen(kind):
    batch = known_crystals() if kind == "known" else random_crystals(6, seed=1)
    mine = edges_of(crystal_graph(batch, SETTINGS["within"], torch.float64))
    theirs: Counter[tuple[int, int, tuple[float, ...]]] = Counter()
    offset = 0
    for structure in to_pymatgen(batch):
        positions = structure.cart_coords
        for u, v, image in zip(*structure.get_neighbor_list(4.0 + 1e-8)[:3], strict=True):
            vector = positions[v] + image @ structure.lattice.matrix - positions[u]
            theirs[(int(u) + offset, int(v) + offset, tuple(round(x, 6) + 0.0 for x in vector.tolist()))] += 1
        offset += len(structure)
    assert mine == theirs


@pytest.mark.parametrize("name", SETTINGS)
def test_a_graph_is_what_its_fields_say(name):
    settings = SETTINGS[name]
    batch = StructureBatch.cat([known_crystals(), random_crystals(6, seed=2)])
    graph = crystal_graph(batch, settings, torch.float64, reverse=settings.symmetric)
    assert (graph.n_structures, graph.n_atoms, graph.n_edges) == (
        11,
        len(batch.fractional),
        len(graph.source),
    )
    assert bool((graph.source.diff() >= 0).all())
    assert torch.equal(batch.structure_index[graph.source], batch.structure_index[graph.target])
    pairs = list(zip(graph.first.tolist(), graph.second.tolist(), strict=True))
    leaving: dict[int, list[int]] = {}
    for edge, source in enumerate(graph.source.tolist()):
        leaving.setdefault(source, []).append(edge)
    assert pairs == [(a, b) for edges in leaving.values() for a in edges for b in edges if a != b]
    if graph.reverse is not None:
        assert torch.equal(graph.source[graph.reverse], graph.target)
        assert torch.equal(graph.reverse[graph.reverse], torch.arange(graph.n_edges))
        torch.testing.assert_close(graph.vectors[graph.reverse], -graph.vectors, atol=1e-10, rtol=0)
    single = crystal_graph(batch, settings, reverse=settings.symmetric)
    assert single.vectors.dtype == single.cell.dtype == torch.float32
    assert torch.equal(single.vectors, graph.vectors.float())
    if settings.fade > 0:
        assert graph.weights is not None and single.weights is not None
        assert single.weights.dtype == torch.float32
        assert bool(((graph.weights >= 0) & (graph.weights <= 1 + 1e-12)).all())
    else:
        assert graph.weights is None


def test_parts_that_are_not_asked_for_are_left_out():
    graph = crystal_graph(known_crystals(), GraphSettings(symmetric=False), triplets=False, reverse=False)
    assert graph.reverse is None
    assert len(graph.first) == len(graph.second) == 0


def test_edges_that_faded_are_not_kept_for_nothing():
    """A graph with fading edges has all edges of positive weight, and few others."""
    batch = random_crystals(6, seed=4)
    wide = crystal_graph(batch, GraphSettings(neighbours=12, tolerance=1.0), torch.float64)
    fading = crystal_graph(batch, GraphSettings(neighbours=12, fade=1.0), torch.float64)
    assert fading.weights is not None
    assert edges_of(fading) <= edges_of(wide)
    assert fading.n_edges < wide.n_edges
    assert (fading.weights == 0).sum() < 0.01 * fading.n_edges


def test_gradients_reach_positions_and_cells():
    batch = random_crystals(3, seed=5)
    fractional, cell = batch.fractional.clone().requires_grad_(), batch.cell.clone().requires_grad_()
    graph = crystal_graph(batch, SETTINGS["fading"], torch.float64, cell=cell, fractional=fractional)
    assert graph.weights is not None
    probe = torch.randn(graph.n_edges, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def value(batch: StructureBatch) -> torch.Tensor:
        other = crystal_graph(batch, SETTINGS["fading"], torch.float64)
        assert other.weights is not None
        return (other.vectors * probe).sum() + (other.weights * probe[:, 0]).sum()

    total = (graph.vectors * probe).sum() + (graph.weights * probe[:, 0]).sum()
    by_position, by_cell = torch.autograd.grad(total, [fractional, cell])
    step = 1e-6
    for gradient, name, entry in ((by_position, "fractional", (2, 1)), (by_cell, "cell", (1, 0, 2))):
        changed = [getattr(batch, name).clone() for _ in range(2)]
        changed[0][entry] += step
        changed[1][entry] -= step
        up, down = (value(replace(batch, **{name: x})) for x in changed)
        torch.testing.assert_close(gradient[entry], (up - down) / (2 * step), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("number", [0, -1, 119])
def test_an_unknown_element_is_an_error(number):
    batch = known_crystals()
    numbers = batch.atomic_numbers.clone()
    numbers[2] = number
    with pytest.raises(
        DataError, match=f"structure 2 has an atom of atomic number {number}: known are 1 to 118"
    ):
        crystal_graph(replace(batch, atomic_numbers=numbers), GraphSettings())


@pytest.mark.parametrize("fade", [-0.1, float("nan"), float("inf")])
def test_an_impossible_fade_is_an_error(fade):
    with pytest.raises(ConfigError, match="fade must be"):
        GraphSettings(fade=fade)


def test_a_graph_moves_between_devices():
    graph = crystal_graph(known_crystals(), SETTINGS["fading"]).to("meta")
    assert graph.device.type == "meta"
    assert graph.weights is not None and graph.reverse is not None
    assert {x.device.type for x in (graph.first, graph.reverse, graph.weights, graph.cell)} == {"meta"}
