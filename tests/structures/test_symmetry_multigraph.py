"""Symmetry multigraphs against the periodic graphs of the whole crystals, edge for edge."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.crystallography.cells import to_primitive_fractional
from gflownet_crystal.crystallography.site_projectors import site_flats, site_projectors
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.graphs import neighbour_graph
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.structures.symmetry_images import SiteSymmetry
from gflownet_crystal.structures.symmetry_multigraph import MultigraphPlan, SymmetryMultigraph

CUTOFF = 4.5


@pytest.fixture(scope="module")
def full(crystals) -> StructureBatch:
    return conventional_structures(from_pymatgen(crystals))


@pytest.fixture(scope="module")
def sites(full: StructureBatch) -> tuple[StructureBatch, Tensor]:
    """One atom of each orbit, and the operations in the table that make them."""
    found = occupied_positions(full)
    assert found.found.all()
    sizes = torch.from_numpy(_multiplicities())
    start = (sizes.cumsum(0) - sizes)[found.position]
    flats = site_flats()
    points = torch.einsum("oij,oj->oi", flats.rotation[start], found.parameters) + flats.translation[start]
    batch = StructureBatch(full.cell, found.atomic_number, points, found.structure, full.space_group)
    return batch, start


def _multiplicities():
    return wyckoff_table().multiplicity.astype("int64")


def planned(sites: StructureBatch, fixed: bool = True) -> MultigraphPlan:
    symmetry = SiteSymmetry.of(sites.cell, sites.space_group, sites.structure_index)
    stabiliser = symmetry.coincidences(sites.fractional, sites.cell, 1e-3)[0]
    images = symmetry.first_of_coinciding(stabiliser)
    return MultigraphPlan.of(symmetry, sites.cell, CUTOFF, images, fixed)


def fingerprints(vectors: Tensor, numbers: Tensor) -> list[tuple[float, ...]]:
    rows = torch.cat([numbers[:, None].double(), vectors], dim=1)
    return sorted(tuple(row) for row in (rows.mul(1e4).round() / 1e4 + 0.0).tolist())


def test_images_are_the_atoms_of_the_crystal(full, sites):
    batch, _ = sites
    plan = planned(batch)
    images = torch.zeros(len(batch.fractional), 48, dtype=torch.bool)
    structure, place = plan.usable.nonzero().unbind(1)
    image = plan.image[structure, place]
    images[plan.node[structure, image], plan.operation[structure, image]] = True
    counted = torch.zeros_like(full.n_atoms).index_add_(0, batch.structure_index, images.sum(1))
    assert counted.tolist() == to_primitive(full).n_atoms.tolist()


@pytest.mark.parametrize("fixed", [True, False])
def test_edges_are_those_of_the_whole_crystal(full, sites, fixed):
    batch, _ = sites
    graph = planned(batch, fixed).graph(batch.fractional, batch.cell, reverse=False)
    whole = neighbour_graph(full, cutoff=CUTOFF)
    vectors = whole.vectors(full.fractional, full.cell, full.structure_index)
    for node in range(len(batch.fractional)):
        structure = int(batch.structure_index[node])
        difference = full.fractional - batch.fractional[node]
        apart = ((difference - difference.round()) @ full.cell[structure]).norm(dim=1)
        atom = int(apart.masked_fill(full.structure_index != structure, 9.0).argmin())
        assert apart[atom] < 1e-6
        own = (whole.source == atom) & (vectors.norm(dim=1) < graph.reach[node])
        # short cells have more within the cutoff than their nearest copies
        assert graph.reach[node] == CUTOFF or not fixed
        counts = graph.counts[node]
        mine = fingerprints(graph.vectors[node][counts], batch.atomic_numbers[graph.target[node][counts]])
        assert mine == fingerprints(vectors[own], full.atomic_numbers[whole.target[own]])


def test_a_few_neighbours_are_the_nearest_and_complete_within_reach(sites):
    batch, _ = sites
    plan = planned(batch)
    every = plan.graph(batch.fractional, batch.cell, reverse=False)
    few = plan.graph(batch.fractional, batch.cell, 16)
    assert few.target.shape[1] == 16
    assert (few.reach <= CUTOFF).all()
    lengths = every.vectors.norm(dim=2)
    assert (few.counts.sum(1) == (every.counts & (lengths < few.reach[:, None])).sum(1)).all()


def test_vectors_are_made_of_operation_and_translation(sites):
    batch, _ = sites
    plan = planned(batch)
    graph: SymmetryMultigraph = plan.graph(batch.fractional, batch.cell, 12)
    owner = batch.structure_index
    # every translation is one of the primitive lattice
    group = batch.space_group[owner][:, None].expand(graph.target.shape).flatten()
    wrapped = to_primitive_fractional(graph.translation.flatten(0, 1), group)
    usable = graph.counts.flatten()
    assert torch.minimum(wrapped, 1 - wrapped)[usable].abs().max() < 1e-9


def test_reverse_edges_are_images_of_the_opposites(sites):
    batch, _ = sites
    plan = planned(batch)
    graph = plan.graph(batch.fractional, batch.cell, 40)
    lengths = graph.vectors.norm(dim=2)
    # an edge within the reach of both ends has its reverse
    both = graph.counts & (lengths < graph.reach[graph.target] - 1e-6)
    assert graph.has_reverse[both].all()
    back = graph.reverse
    assert (graph.target.flatten()[back] == torch.arange(len(back))[:, None])[both].all()
    assert (graph.target == back // graph.target.shape[1])[both].all()
    assert torch.allclose(lengths.flatten()[back][both], lengths[both], atol=1e-9)


def test_vectors_follow_positions_and_cells(sites):
    batch, _ = sites
    plan = planned(batch)
    position, cell = batch.fractional.clone().requires_grad_(True), batch.cell.clone().requires_grad_(True)
    graph = plan.graph(position, cell, 8, reverse=False)
    weight = torch.linspace(-1, 1, graph.vectors.numel(), dtype=torch.float64).view_as(graph.vectors)
    weight = weight * graph.counts[..., None]
    (weight * graph.vectors).sum().backward()
    h = 1e-5
    for tensor, gradient in ((batch.fractional, position.grad), (batch.cell, cell.grad)):
        change = torch.linspace(1, -1, tensor.numel(), dtype=torch.float64).view_as(tensor) * h
        ends = []
        for sign in (1, -1):
            moved = tensor + sign * change
            x, c = (moved, batch.cell) if tensor is batch.fractional else (batch.fractional, moved)
            other = plan.graph(x, c, None, reverse=False)
            ends.append(_same_edges(graph, other))
        slope = (weight * (ends[0] - ends[1])).sum() / 2
        assert torch.isclose((gradient * change).sum(), slope, rtol=1e-6, atol=1e-9)


def _same_edges(graph: SymmetryMultigraph, other: SymmetryMultigraph) -> Tensor:
    """Vectors of ``other`` for the edges of ``graph``."""
    found = torch.zeros_like(graph.vectors)
    for node in range(len(graph.target)):
        distance = (graph.vectors[node][:, None] - other.vectors[node]).norm(dim=2)
        same = (graph.target[node][:, None] == other.target[node]) & (
            graph.operation[node][:, None] == other.operation[node]
        )
        found[node] = other.vectors[node][distance.masked_fill(~same, 9e9).argmin(1)]
    return found


def test_projectors_agree_with_the_free_parameters(sites):
    batch, start = sites
    symmetry = SiteSymmetry.of(batch.cell, batch.space_group, batch.structure_index)
    stabiliser = symmetry.coincidences(batch.fractional, batch.cell, 1e-3)[0]
    mine = symmetry.projectors(stabiliser, batch.cell)
    cell = batch.cell[batch.structure_index]
    rotation = site_flats().rotation[start]
    # fractional columns: d -> R P d; Cartesian rows: v -> v cell^-1 (R P)^T cell
    oblique = rotation @ site_projectors(cell, rotation)
    expected = torch.linalg.inv(cell) @ oblique.mT @ cell
    assert (mine - expected).abs().max() < 1e-9


def test_near_images_are_merged_on_the_special_position(sites):
    batch, _ = sites
    symmetry = SiteSymmetry.of(batch.cell, batch.space_group, batch.structure_index)
    images = symmetry.first_of_coinciding(symmetry.coincidences(batch.fractional, batch.cell, 1e-3)[0])
    free = symmetry.projectors(symmetry.coincidences(batch.fractional, batch.cell, 1e-3)[0], batch.cell)
    shift = torch.full((len(free), 1, 3), 0.05, dtype=torch.float64)
    shift = shift - shift @ free
    moved = batch.fractional + (shift @ torch.linalg.inv(batch.cell)[batch.structure_index])[:, 0]
    middle, kept = symmetry.merged(moved, batch.cell, 0.3)
    assert (kept == images).all()
    apart = (middle - batch.fractional)[:, None] @ batch.cell[batch.structure_index]
    assert apart.abs().max() < 1e-9


def test_a_batch_changes_nothing(sites):
    batch, _ = sites
    alone = batch[torch.tensor([3])]
    rows = batch.structure_index == 3
    together = planned(batch).graph(batch.fractional, batch.cell, 20)
    single = planned(alone).graph(alone.fractional, alone.cell, 20)
    assert torch.equal(single.vectors, together.vectors[rows])
    assert torch.equal(single.reach, together.reach[rows])


def test_no_structures_have_no_images(sites):
    batch, _ = sites
    assert planned(batch[torch.tensor([], dtype=torch.int64)]).node.shape == (0, 0)
