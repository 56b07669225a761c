"""Neighbour graphs, edge for edge, against pymatgen's neighbour lists, and what must not change them."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moyopy import minkowski_reduce
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.structures.convert import from_arrays, from_pymatgen
from gflownet_crystal.structures.graphs import Graph, neighbour_graph, reverse_edges, triplets
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.reduction import reduce_cells
from gflownet_crystal.structures.structure import StructureBatch

SETTINGS = [
    {"cutoff": 5.0},
    {"neighbours": 1},
    {"neighbours": 12, "symmetric": True},
    {"neighbours": 32},
    {"neighbours": 12, "cutoff": 4.0},
    {"neighbours": 12, "cutoff": 8.0, "symmetric": True},
    {"neighbours": 9, "tolerance": 0.5, "symmetric": True},
]
Edge = tuple[int, ...]


def random_structure(seed: int, n_atoms: int | None = None, vacuum: bool = False) -> Structure:
    """Atoms anywhere, also outside the cell, in a cell of about 15 Å^3 an atom, or of 20 times that."""
    generator = np.random.default_rng(seed)
    n_atoms = n_atoms or int(generator.integers(1, 7))
    angles = generator.uniform(65.0, 115.0, 3)
    lattice = Lattice.from_parameters(*generator.uniform(0.6, 1.6, 3), *angles)
    lattice = lattice.scale((300.0 if vacuum else 15.0) * n_atoms)
    points = generator.uniform(0.0, 1.0, (n_atoms, 3)) * (0.4 if vacuum else 1.0)
    return Structure(lattice, ["Si"] * n_atoms, points + generator.integers(-2, 3, (n_atoms, 3)))


def random_change(seed: int) -> NDArray[np.int64]:
    """An element of SL3(Z) that skews a cell badly."""
    generator = np.random.default_rng(seed)
    change = np.eye(3, dtype=np.int64)
    for _ in range(4):
        first, second = generator.choice(3, 2, replace=False)
        change[first] += generator.integers(-3, 4) * change[second]
    return change


def rebased(structure: Structure, change: NDArray[np.int64]) -> Structure:
    """The same crystal in the basis whose vectors are the rows of change @ matrix."""
    points = structure.frac_coords @ np.linalg.inv(change)
    return Structure(change @ structure.lattice.matrix, structure.species, points)


def expected_edges(
    structure: Structure,
    cutoff: float = np.inf,
    neighbours: int | None = None,
    tolerance: float = 1e-2,
    symmetric: bool = False,
) -> set[Edge]:
    """The definition, on all of pymatgen's neighbours within a radius that is surely enough."""
    radius = min(cutoff, 4.0)
    while True:
        source, target, image, distance = structure.get_neighbor_list(radius)
        reach = np.full(len(structure), cutoff)
        if neighbours is not None:
            for atom in range(len(structure)):
                own = np.sort(distance[source == atom])
                kth = own[neighbours - 1] if len(own) >= neighbours else np.inf
                reach[atom] = min(cutoff, kth + tolerance)
        if radius >= cutoff or reach.max() < radius:
            break
        radius = min(1.3 * radius, cutoff)
    bound = np.maximum(reach[source], reach[target]) if symmetric else reach[source]
    kept = distance <= bound + 1e-8
    rows = np.column_stack([source, target, image.astype(int)])[kept]
    return set(map(tuple, rows.tolist()))


def edges_of(graph: Graph, batch: StructureBatch) -> list[set[Edge]]:
    """Edges of each structure, with atoms counted in it; none occurs twice, and they are sorted by source."""
    assert graph.n_atoms == len(batch.fractional)
    assert bool((graph.source.diff() >= 0).all())
    start = batch.n_atoms.cumsum(0) - batch.n_atoms
    structure = batch.structure_index[graph.source]
    ends = torch.stack([graph.source - start[structure], graph.target - start[structure]], dim=1)
    rows = torch.cat([ends, graph.image], dim=1)
    lists = [list(map(tuple, rows[structure == row].tolist())) for row in range(len(batch))]
    assert all(len(edges) == len(set(edges)) for edges in lists)
    return [set(edges) for edges in lists]


def lengths(graph: Graph, batch: StructureBatch) -> torch.Tensor:
    return graph.vectors(batch.fractional, batch.cell, batch.structure_index).norm(dim=1)


def environments(structure: Structure, **setting: Any) -> list[list[float]]:
    """Sorted distances of each atom."""
    batch = from_pymatgen([structure])
    graph = neighbour_graph(batch, **setting)
    distances = lengths(graph, batch)
    return [sorted(distances[graph.source == atom].tolist()) for atom in range(len(structure))]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_edges_are_those_of_pymatgen(crystals: list[Structure], setting: dict[str, Any]) -> None:
    random = [random_structure(seed) for seed in range(12)]
    structures = [
        *crystals,
        *random,
        *(rebased(structure, random_change(seed)) for seed, structure in enumerate(random)),
        *(random_structure(seed, vacuum=True) for seed in range(3)),
        Structure(Lattice.cubic(2.8), ["Po"], [[1.3, -0.2, 0.0]]),
        Structure(Lattice.hexagonal(2.5, 30.0), ["C"], [[0, 0, 0]]),
        crystals[0] * (2, 1, 1),
    ]
    batch = from_pymatgen(structures)
    found = edges_of(neighbour_graph(batch, **setting), batch)
    for edges, structure in zip(found, structures, strict=True):
        assert edges == expected_edges(structure, **setting)


def test_a_large_cell_among_small_ones(crystals: list[Structure]) -> None:
    structures = [crystals[0], random_structure(0, n_atoms=300), crystals[1]]
    batch = from_pymatgen(structures)
    for setting in ({"cutoff": 4.0}, {"neighbours": 32, "symmetric": True}):
        found = edges_of(neighbour_graph(batch, **setting), batch)
        assert found == [expected_edges(structure, **setting) for structure in structures]


def test_whole_shells() -> None:
    # distances in units of a: 6 at 1, 12 at 1.414, 8 at 1.732
    batch = from_pymatgen([Structure(Lattice.cubic(3.0), ["Po"], [[0, 0, 0]])])
    counts = [len(neighbour_graph(batch, neighbours=k)) for k in (1, 6, 7, 18, 19, 26)]
    assert counts == [6, 6, 18, 18, 26, 26]
    # a strain that moves the shell by less, and by more, than the tolerance
    for strain, count in ((0.9e-2, 6), (1.1e-2, 4)):
        batch = from_pymatgen([Structure(Lattice.tetragonal(3.0, 3.0 + strain), ["Po"], [[0, 0, 0]])])
        assert len(neighbour_graph(batch, neighbours=4)) == count
    # at the cutoff: the rounded length of every vector of the shell counts as it
    batch = from_pymatgen([Structure(Lattice.cubic(0.3 * 9), ["Po"], [[0.1, 0.2, 0.3]])])
    assert len(neighbour_graph(batch, cutoff=0.3 * 9)) == 6


def test_an_isolated_atom_has_no_edges_within_a_cutoff() -> None:
    batch = from_arrays([np.eye(3) * 20, np.eye(3) * 3], [[1], [1]], [[[0, 0, 0]], [[0, 0, 0]]])
    graph = neighbour_graph(batch, cutoff=6.0, neighbours=12, symmetric=True)
    assert set(graph.source.tolist()) == {1}
    assert lengths(neighbour_graph(batch[:1], neighbours=6), batch[:1]).tolist() == [20.0] * 6


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from(SETTINGS))
def test_distances_do_not_depend_on_the_description(seed: int, setting: dict[str, Any]) -> None:
    structure = random_structure(seed)
    generator = np.random.default_rng(seed)
    expected = environments(structure, **setting)
    moved = structure.copy()
    moved.translate_sites(range(len(moved)), generator.uniform(-3, 3, 3), to_unit_cell=False)
    order = generator.permutation(len(structure))
    permuted = Structure.from_sites([structure[i] for i in order])
    pairs = [
        (expected, environments(rebased(structure, random_change(seed)), **setting)),
        (expected, environments(moved, **setting)),
        ([expected[i] for i in order], environments(permuted, **setting)),
        ([row for row in expected for _ in range(2)], environments(structure * (1, 2, 1), **setting)),
    ]
    for one, other in pairs:
        assert [len(row) for row in one] == [len(row) for row in other]
        np.testing.assert_allclose(np.concatenate(one), np.concatenate(other), atol=1e-9)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=5), st.sampled_from(SETTINGS))
def test_a_structure_alone_and_in_a_batch(seeds: list[int], setting: dict[str, Any]) -> None:
    batch = from_pymatgen([random_structure(seed, vacuum=seed % 3 == 0) for seed in seeds])
    graph = neighbour_graph(batch, **setting)
    for row, edges in enumerate(edges_of(graph, batch)):
        alone = batch[row : row + 1]
        assert edges_of(neighbour_graph(alone, **setting), alone) == [edges]
        assert edges_of(graph.among(batch.structure_index == row), alone) == [edges]


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 16))
def test_symmetric_graphs_are_unions_with_their_reverse(seed: int, neighbours: int) -> None:
    batch = from_pymatgen([random_structure(seed), rebased(random_structure(seed + 1), random_change(seed))])
    directed = edges_of(neighbour_graph(batch, neighbours=neighbours), batch)
    graph = neighbour_graph(batch, neighbours=neighbours, symmetric=True)
    reverses = [{(j, i, -x, -y, -z) for i, j, x, y, z in edges} for edges in directed]
    assert edges_of(graph, batch) == [one | other for one, other in zip(directed, reverses, strict=True)]
    reverse = reverse_edges(graph)
    assert graph.source[reverse].equal(graph.target) and graph.target[reverse].equal(graph.source)
    assert graph.image[reverse].equal(-graph.image)
    assert reverse[reverse].equal(torch.arange(len(graph)))


def test_directed_graphs_have_no_reverse() -> None:
    # the third atom's nearest one has a nearer one itself
    batch = from_arrays([np.eye(3) * 20], [[1] * 3], [[[0, 0, 0], [0.05, 0, 0], [0.15, 0, 0]]])
    with pytest.raises(DataError, match="symmetric=True"):
        reverse_edges(neighbour_graph(batch, neighbours=1))
    assert len(reverse_edges(neighbour_graph(batch, neighbours=1, symmetric=True))) == 4
    assert len(reverse_edges(neighbour_graph(batch, cutoff=0.1))) == 0


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=3), st.integers(1, 8))
def test_triplets_are_all_pairs_of_edges_of_an_atom(seeds: list[int], neighbours: int) -> None:
    batch = from_pymatgen([random_structure(seed) for seed in seeds])
    graph = neighbour_graph(batch, neighbours=neighbours, cutoff=3.0)
    first, second = triplets(graph)
    source = graph.source.tolist()
    leaving = [[edge for edge, atom in enumerate(source) if atom == i] for i in range(graph.n_atoms)]
    expected = [pair for edges in leaving for pair in permutations(edges, 2)]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert len(first) == sum(degree * (degree - 1) for degree in Counter(source).values())


def test_vectors_lead_from_source_to_target_and_have_gradients(crystals: list[Structure]) -> None:
    batch = from_pymatgen([random_structure(1), rebased(random_structure(2), random_change(3))])
    graph = neighbour_graph(batch, neighbours=2, symmetric=True)
    inputs = (batch.fractional.clone().requires_grad_(), batch.cell.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda x, cell: graph.vectors(x, cell, batch.structure_index), inputs)
    batch = from_pymatgen(crystals)
    graph = neighbour_graph(batch, cutoff=4.0)
    ways = batch.fractional[graph.target] + graph.image - batch.fractional[graph.source]
    expected = (ways[:, None] @ batch.cell[batch.structure_index[graph.source]])[:, 0]
    vectors = graph.vectors(batch.fractional, batch.cell, batch.structure_index)
    torch.testing.assert_close(vectors, expected)
    single = graph.vectors(batch.fractional.float(), batch.cell.float(), batch.structure_index)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, vectors.float(), rtol=0, atol=1e-4)


FAULTS = {
    "two atoms in one place": (np.eye(3) * 4, [[0, 0, 0], [1 - 1e-9, 3, 5]]),
    "a number that is none": (np.eye(3) * 4, [[0, 0, 0], [0.5, 0.5, np.nan]]),
    "a cell that is not closed": (np.full((3, 3), np.nan), [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "no cell": (np.zeros((3, 3)), [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "a flat cell": (np.array([[4.0, 0, 0], [0, 4, 0], [1.1, 2.3, 0]]), [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "dependent vectors": (np.array([[1.0, 2, 3], [2, 4, 6], [1, 1, 1]]), [[0, 0, 0], [0.5, 0.5, 0.5]]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("setting", [{"cutoff": 3.0}, {"neighbours": 4}], ids=str)
def test_what_has_no_graph_is_refused_by_its_row(fault: str, setting: dict[str, Any]) -> None:
    cells, points = zip((np.eye(3) * 3, [[0, 0, 0]]), FAULTS[fault], strict=True)
    batch = from_arrays(cells, [[1], [1, 1]], points)
    assert usable(batch).tolist() == [True, False]
    with pytest.raises(DataError, match=r"1 structure.*rows of the batch: 1\)"):
        neighbour_graph(batch, **setting)
    assert len(neighbour_graph(batch[usable(batch)], **setting)) == 6


def test_cells_far_too_small_for_the_cutoff_are_refused() -> None:
    with pytest.raises(DataError, match="a million"):
        neighbour_graph(from_arrays([np.eye(3) * 0.01], [[1]], [[[0, 0, 0]]]), cutoff=6.0)


@pytest.mark.parametrize(
    "setting",
    [{}, {"cutoff": 0.0}, {"cutoff": float("nan")}, {"neighbours": 0}, {"cutoff": 3.0, "tolerance": -1.0}],
    ids=str,
)
def test_settings_out_of_range(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        neighbour_graph(from_arrays([np.eye(3)], [[1]], [[[0, 0, 0]]]), **setting)


def test_an_empty_batch(crystals: list[Structure]) -> None:
    batch = from_pymatgen(crystals)[:0]
    for setting in SETTINGS:
        graph = neighbour_graph(batch, **setting)
        assert len(graph) == graph.n_atoms == len(reverse_edges(graph)) == len(triplets(graph)[0]) == 0
    assert len(usable(batch)) == 0


def test_reduced_vectors_are_the_shortest() -> None:
    structures = [rebased(random_structure(seed), random_change(seed)) for seed in range(100)]
    cell = from_pymatgen(structures).cell
    change = reduce_cells(cell)
    assert change.equal(change.round())
    torch.testing.assert_close(change.det().abs(), torch.ones(100, dtype=torch.float64))
    found = (change @ cell).norm(dim=2)
    for row, structure in zip(found, structures, strict=True):
        reduced, _ = minkowski_reduce(structure.lattice.matrix.tolist())
        np.testing.assert_allclose(row.numpy(), np.sort(np.linalg.norm(reduced, axis=1)), rtol=1e-9)
