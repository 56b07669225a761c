"""Graphs of a fixed number of edges, against brute force over many images."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.gemsdiff.graph import AtomTable, nearly_reduced
from gflownet_crystal.models.layers.inputs import CrystalGraph

SIZES = (1, 2, 5, 9)
IMAGES = torch.tensor(list(product(range(-4, 5), repeat=3))).double()


def crystals(skew: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cells, positions and structure of each atom; the same lattices in another basis if skewed."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(SIZES), 3, 3, generator=generator).double()
    cell = 4.0 * torch.eye(3).double() + 0.6 * noise
    fractional = torch.rand(sum(SIZES), 3, generator=generator).double()
    index = torch.repeat_interleave(torch.tensor(SIZES))
    if skew:
        change = torch.tensor([[1, 2, 0], [0, 1, 0], [-1, 1, 1]]).double()
        cell, fractional = change @ cell, fractional @ change.inverse().round()
    return cell, fractional, index


def graph(neighbours: int, skew: bool = False) -> CrystalGraph:
    cell, fractional, index = crystals(skew)
    table = AtomTable.of(torch.ones_like(index), index, len(SIZES), neighbours)
    return table.graph(cell, fractional, torch.float64, triplets=True)


@pytest.mark.parametrize("neighbours", [12, 30])
@pytest.mark.parametrize("skew", [False, True])
def test_edges_are_the_nearest_images(neighbours: int, skew: bool) -> None:
    cell, fractional, index = crystals(False)
    found = graph(neighbours, skew).lengths.view(-1, neighbours)
    for atom, structure in enumerate(index.tolist()):
        others = fractional[index == structure]
        ways = (others[:, None] + IMAGES - fractional[atom]) @ cell[structure]
        distances = ways.norm(dim=2).flatten().sort().values[1 : neighbours + 1]
        torch.testing.assert_close(found[atom], distances)


def test_vectors_end_at_images_of_their_targets() -> None:
    cell, fractional, index = crystals(False)
    made = graph(12)
    difference = fractional[made.target] - fractional[made.source]
    steps = (made.vectors[:, None] @ cell[index[made.source]].inverse())[:, 0] - difference
    torch.testing.assert_close(steps, steps.round(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("skew", [False, True])
def test_reverse_edges_are_opposite_or_missing(skew: bool) -> None:
    made = graph(12, skew)
    edges = torch.arange(made.n_edges)
    assert made.reverse is not None
    alone = made.reverse == edges
    back = made.reverse[~alone]
    torch.testing.assert_close(made.vectors[back], -made.vectors[~alone])
    assert torch.equal(made.target[back], made.source[~alone])
    for edge in alone.nonzero()[:, 0].tolist():
        candidates = made.source == made.target[edge]
        opposite = (made.vectors + made.vectors[edge]).norm(dim=1) < 1e-6
        assert not (candidates & opposite & (made.target == made.source[edge])).any()
    assert alone.double().mean() < 0.3


def test_pairs_are_all_pairs_of_edges_of_an_atom() -> None:
    made = graph(4)
    pairs = {(a, b) for a, b in zip(made.first.tolist(), made.second.tolist(), strict=True)}
    expected = {
        (a, b) for a in range(made.n_edges) for b in range(made.n_edges) if a != b and a // 4 == b // 4
    }
    assert pairs == expected and len(made.first) == len(pairs)


def test_shells_that_are_cut_do_not_count() -> None:
    # the second shell of the simple cubic lattice has twelve atoms, the first has six
    index = torch.zeros(1, dtype=torch.int64)
    table = AtomTable.of(torch.ones(1, dtype=torch.int64), index, 1, 9)
    made = table.graph(3.0 * torch.eye(3).double()[None], torch.zeros(1, 3).double(), torch.float64, False)
    assert made.weights is not None
    assert made.weights[:6].tolist() == [1.0] * 6 and made.weights[6:].tolist() == [0.0] * 3


def test_reduction_shortens_and_keeps_the_lattice() -> None:
    cell, _, _ = crystals(True)
    change = nearly_reduced(cell)
    torch.testing.assert_close(change.det().abs(), torch.ones(len(cell)).double())
    shortest = crystals(False)[0]
    assert (change @ cell).norm(dim=2).sum(1).le(shortest.norm(dim=2).sum(1) + 1e-9).all()


def test_too_many_neighbours_are_refused() -> None:
    with pytest.raises(ConfigError, match="neighbours is 200"):
        AtomTable.of(torch.ones(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), 1, 200)
