"""Vector fields against derivatives of lengths and angles, and their sums against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.models.layers.vector_fields import (
    Triplets,
    axis_features,
    fractional_vectors,
    length_fields,
    mean_edge_action,
    mean_triplet_action,
)
from tests.models.fields import angle_fields


def some_edges(n: int = 40, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def some_triplets(vectors: Tensor) -> Triplets:
    first, second = torch.tensor([(i, j) for i in range(0, 40, 3) for j in range(40) if i != j]).T
    return Triplets.of(vectors / vectors.norm(dim=1, keepdim=True), first, second)


def deformed(vectors: Tensor, deformation: Tensor) -> Tensor:
    return vectors @ (torch.eye(3, dtype=torch.float64) + deformation)


def lengths_and_angles(vectors: Tensor, triplets: Triplets) -> tuple[Tensor, Tensor]:
    u, v = vectors[triplets.first], vectors[triplets.second]
    angles = torch.atan2(torch.linalg.cross(u, v).norm(dim=1), (u * v).sum(1))
    return vectors.norm(dim=1), angles


def test_fields_are_the_gradients_under_deformation():
    vectors = some_edges()
    triplets = some_triplets(vectors)
    zero = torch.zeros(3, 3, dtype=torch.float64)

    def measured(deformation: Tensor) -> tuple[Tensor, Tensor]:
        return lengths_and_angles(deformed(vectors, deformation), triplets)

    lengths, angles = torch.autograd.functional.jacobian(measured, zero)
    torch.testing.assert_close(length_fields(vectors), lengths, atol=1e-12, rtol=1e-12)
    directions = vectors / vectors.norm(dim=1, keepdim=True)
    torch.testing.assert_close(angle_fields(directions, triplets), angles, atol=1e-12, rtol=1e-12)


def test_fields_are_finite_differences_under_deformation():
    vectors = some_edges(seed=1)
    triplets = some_triplets(vectors)
    directions = vectors / vectors.norm(dim=1, keepdim=True)
    fields = length_fields(vectors), angle_fields(directions, triplets)
    step = 1e-6
    for row in range(3):
        for column in range(3):
            change = torch.zeros(3, 3, dtype=torch.float64)
            change[row, column] = step
            after = lengths_and_angles(deformed(vectors, change), triplets)
            before = lengths_and_angles(deformed(vectors, -change), triplets)
            for field, high, low in zip(fields, after, before, strict=True):
                expected = (high - low) / (2 * step)
                torch.testing.assert_close(field[:, row, column], expected, atol=2e-8, rtol=2e-8)


def test_fields_are_symmetric_so_that_none_is_a_rotation():
    vectors = some_edges()
    directions = vectors / vectors.norm(dim=1, keepdim=True)
    for fields in (length_fields(vectors), angle_fields(directions, some_triplets(vectors))):
        torch.testing.assert_close(fields, fields.mT, atol=1e-14, rtol=0)


@pytest.mark.parametrize("tiny", [0.0, 1e-8, -1e-4])
def test_collinear_pairs_are_dropped_and_their_gradients_are_finite(tiny):
    vectors = torch.tensor([[1.0, 0, 0], [-2.0, tiny, 0], [3.0, 0, tiny], [0, 1.0, 1.0]]).requires_grad_()
    lengths = vectors.norm(dim=1)
    directions = vectors / lengths[:, None]
    first, second = torch.tensor([(i, j) for i in range(4) for j in range(4) if i != j]).T
    triplets = Triplets.of(directions, first, second)
    assert triplets.counts.tolist() == [
        3 in (i, j) for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    weights = torch.ones(12, 3)
    structure = torch.zeros(4, dtype=torch.int64)
    action = mean_triplet_action(weights, lengths, directions, triplets, structure, 1)
    (gradient,) = torch.autograd.grad((action * torch.arange(9.0).view(3, 3)).sum(), vectors)
    assert torch.isfinite(action).all() and torch.isfinite(gradient).all()
    dropped = angle_fields(directions, triplets)[triplets.counts == 0]
    assert (dropped == 0).all()


def test_means_over_pairs_and_edges_equal_loops():
    vectors = some_edges()
    # some edges are opposite to others, so that pairs are collinear
    vectors = torch.cat([vectors[:10], -2 * vectors[:5], vectors[10:30], -vectors[10:15]])
    lengths = vectors.norm(dim=1)
    directions = vectors / lengths[:, None]
    structure = torch.tensor([0] * 15 + [2] * 25)
    spans = (range(15), range(15, 40))
    first, second = torch.tensor([(i, j) for span in spans for i in span for j in span if i != j]).T
    counts = torch.rand(40, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 2
    triplets = Triplets.of(directions, first, second, counts)
    weights = torch.randn(
        len(triplets.first), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    action = mean_triplet_action(weights, lengths, directions, triplets, structure, 3)
    of_lengths, of_angles = length_fields(vectors), angle_fields(directions, triplets)
    expected, total, dropped = torch.zeros(3, 3, 3, dtype=torch.float64), [0.0, 0.0, 0.0], 0
    for t, (first, second) in enumerate(zip(triplets.first.tolist(), triplets.second.tolist(), strict=True)):
        if abs(triplets.cosine[t].item()) > 1 - 1e-9:
            dropped += 1
            continue
        row, count = int(structure[first]), float(counts[first] * counts[second])
        total[row] += count
        field = weights[t, 0] * of_lengths[first] + weights[t, 1] * of_lengths[second]
        expected[row] += count * (field + weights[t, 2] * of_angles[t])
    assert total[1] == 0 and dropped == 20
    for row in (0, 2):
        torch.testing.assert_close(action[row], expected[row] / total[row], atol=1e-12, rtol=1e-12)
    assert (action[1] == 0).all()

    edge_action = mean_edge_action(weights[:40, 0], vectors, counts, structure, 3)
    for row, edges in ((0, range(15)), (2, range(15, 40))):
        summed = torch.stack([counts[e] * weights[e, 0] * of_lengths[e] for e in edges]).sum(0)
        torch.testing.assert_close(edge_action[row], summed / counts[edges].sum(), atol=1e-13, rtol=1e-12)


def test_features_of_the_axes_are_products_of_components():
    vectors = torch.randn(40000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = axis_features(vectors)
    torch.testing.assert_close(features.square().mean(0), torch.ones(6).double(), atol=0.03, rtol=0)
    for vector, found in zip(vectors[:7], features[:7], strict=True):
        x, y, z = (vector / vector.norm()).tolist()
        expected = torch.tensor([x * x, y * y, z * z, y * z, z * x, x * y], dtype=torch.float64)
        expected *= torch.tensor([5.0] * 3 + [15.0] * 3, dtype=torch.float64).sqrt()
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(axis_features(-3.0 * vectors), features)
    assert torch.isfinite(axis_features(torch.zeros(1, 3))).all()


def test_fractional_vectors_undo_the_cell():
    cell = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fractional = some_edges(6)
    structure = torch.tensor([0, 0, 1, 1, 1, 0])
    vectors = torch.stack([f @ cell[s] for f, s in zip(fractional, structure, strict=True)])
    torch.testing.assert_close(fractional_vectors(vectors, cell, structure), fractional, atol=1e-12, rtol=0)
