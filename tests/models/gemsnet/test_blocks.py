"""GemsNet's blocks against loops over the pairs of edges, as the papers define them."""

from __future__ import annotations

import math

import torch
from scipy.special import eval_legendre
from torch import Tensor
from torch.nn.functional import silu

from gflownet_crystal.models.gemsnet.blocks import TripletInteraction
from gflownet_crystal.models.gemsnet.heads import LatticeHead
from gflownet_crystal.models.gemsnet.neighbourhoods import Neighbourhoods
from gflownet_crystal.models.gemsnet.settings import Widths
from gflownet_crystal.models.layers.bases import zonal_harmonics
from gflownet_crystal.models.layers.inputs import GraphSettings, crystal_graph
from tests.models.equivalents import random_crystals

NEAREST = GraphSettings(cutoff=None, neighbours=12)
SMALL = Widths(edge=20, triplet=8, radial=6, circular=5, bilinear=12, lattice_head=10)


def test_sums_over_pairs_equal_loops_over_the_triplets():
    graph = crystal_graph(random_crystals(3, seed=7), NEAREST, torch.float64)
    directions = graph.vectors / graph.lengths[:, None]
    features = torch.randn(graph.n_edges, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sums = Neighbourhoods.of(graph.source, directions, graph.n_atoms, 6).pair_sums(features)
    expected = torch.zeros(graph.n_edges, 6, 4, dtype=torch.float64)
    for first, second in zip(graph.first.tolist(), graph.second.tolist(), strict=True):
        cosine = float(directions[first] @ directions[second])
        for order in range(6):
            value = math.sqrt((2 * order + 1) / (4 * math.pi)) * eval_legendre(order, cosine)
            expected[first, order] += value * features[second]
    torch.testing.assert_close(sums, expected, atol=1e-12, rtol=1e-12)


def test_triplet_interaction_equals_a_loop_with_the_circular_basis():
    """GemNet's bilinear layer as it is defined: for each pair, basis times features times a third-order tensor."""
    graph = crystal_graph(random_crystals(2, seed=9, most_atoms=2), NEAREST, torch.float64)
    generator = torch.Generator().manual_seed(0)
    block = TripletInteraction(SMALL, generator).double()
    directions = graph.vectors / graph.lengths[:, None]

    def features(*shape: int) -> Tensor:
        return torch.randn(graph.n_edges, *shape, generator=generator, dtype=torch.float64)

    edges, radial, circular = features(SMALL.edge), features(SMALL.radial), features(SMALL.circular, 5)
    hoods = Neighbourhoods.of(graph.source, directions, graph.n_atoms, 5)
    mine = block(edges, radial, circular, hoods, graph.reverse)

    def dense(x: Tensor, weight: Tensor) -> Tensor:
        return silu(x @ weight.T) / 0.6

    received = dense(dense(edges, block.dense.weight) * (radial @ block.radial.weight.T), block.down.weight)
    tensor = block.bilinear.weight.view(SMALL.bilinear, SMALL.circular, SMALL.triplet)
    sums = torch.zeros(graph.n_edges, SMALL.bilinear, dtype=torch.float64)
    cosines = (directions[graph.first] * directions[graph.second]).sum(1)
    zonal = zonal_harmonics(cosines, 5)
    for pair, (first, second) in enumerate(zip(graph.first.tolist(), graph.second.tolist(), strict=True)):
        basis = circular[first] @ zonal[pair]
        sums[first] += torch.einsum("c,t,oct->o", basis, received[second], tensor)
    there, back = dense(sums, block.up.weight), dense(sums, block.up_reverse.weight)
    expected = torch.stack([there[e] + back[graph.reverse[e]] for e in range(graph.n_edges)]) / math.sqrt(2)
    torch.testing.assert_close(mine, expected, atol=1e-11, rtol=1e-11)


def test_lattice_weights_are_those_of_a_perceptron_on_concatenated_features():
    """GemsNet, equation 10, pair by pair."""
    graph = crystal_graph(random_crystals(2, seed=9, most_atoms=2), NEAREST, torch.float64)
    generator = torch.Generator().manual_seed(0)
    head = LatticeHead(SMALL, generator).double()
    edges = torch.randn(graph.n_edges, SMALL.edge, generator=generator, dtype=torch.float64)
    radial = torch.randn(graph.n_edges, SMALL.radial, generator=generator, dtype=torch.float64)
    zonal = torch.randn(len(graph.first), 5, generator=generator, dtype=torch.float64)
    projection = torch.randn(SMALL.circular, 5, generator=generator, dtype=torch.float64)
    mine = head(edges, radial, zonal, projection, (graph.first, graph.second))
    for pair in range(0, len(graph.first), 17):
        i, j = graph.first[pair], graph.second[pair]
        features = torch.cat([edges[i], radial[i], edges[j], radial[j], projection @ zonal[pair]])
        expected = head.out @ silu(head.hidden @ silu(head.first @ features))
        torch.testing.assert_close(mine[pair], expected, atol=1e-12, rtol=1e-12)
