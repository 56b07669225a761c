"""The perceptron on pairs of edges against the same layers on concatenated features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from gflownet_crystal.models.gemsnet import triplet_weights
from gflownet_crystal.models.gemsnet.triplet_weights import triplet_perceptron


def inputs(n_edges: int, n_pairs: int, hidden: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(n_edges, hidden), (n_edges, hidden), (n_pairs, 4), (hidden, 4), (hidden, hidden), (3, hidden)]
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def pairs(n_edges: int, n_pairs: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randint(n_edges, (2, n_pairs), generator=generator)
    return first, second


def by_concatenation(tensors: list[Tensor], first: Tensor, second: Tensor) -> Tensor:
    first_part, second_part, angular, angular_weight, hidden_weight, out_weight = tensors
    hidden = len(hidden_weight)
    features = torch.cat([first_part[first], second_part[second], angular], dim=1)
    layer = torch.cat([torch.eye(hidden, dtype=features.dtype)] * 2 + [angular_weight.T])
    return silu(silu(features @ layer) @ hidden_weight.T) @ out_weight.T


# pieces of 7 rows do not divide 100; one piece holds all
@pytest.mark.parametrize("held", [7 * 5, 1 << 20])
def test_outputs_and_gradients_equal_those_of_the_plain_layers(held, monkeypatch):
    monkeypatch.setattr(triplet_weights, "_CACHED_NUMBERS", {"cpu": held})
    tensors, (first, second) = inputs(12, 100, 5), pairs(12, 100)
    mine, plain = triplet_perceptron(*tensors, first, second), by_concatenation(tensors, first, second)
    torch.testing.assert_close(mine, plain, atol=1e-12, rtol=1e-12)
    direction = torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad(mine, tensors, direction)
    for gradient, expected in zip(gradients, torch.autograd.grad(plain, tensors, direction), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-12)


def test_gradients_equal_finite_differences():
    tensors, (first, second) = inputs(4, 10, 3), pairs(4, 10)
    assert torch.autograd.gradcheck(lambda *x: triplet_perceptron(*x, first, second), tensors)


def test_no_pairs_give_no_outputs_and_zero_gradients():
    tensors = inputs(4, 0, 3)
    nothing = torch.empty(0, dtype=torch.int64)
    outputs = triplet_perceptron(*tensors, nothing, nothing)
    assert outputs.shape == (0, 3)
    gradients = torch.autograd.grad(outputs.sum(), tensors)
    assert all((gradient == 0).all() for gradient in gradients)


def test_half_precision_under_autocast_stays_close():
    tensors, (first, second) = inputs(12, 100, 8, torch.float32), pairs(12, 100)
    exact = triplet_perceptron(*tensors, first, second)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        double = triplet_perceptron(*(tensor.double() for tensor in tensors), first, second)
        rough = triplet_perceptron(*tensors, first, second)
    assert rough.dtype == torch.bfloat16 and double.dtype == torch.float64
    assert (rough - exact).abs().max() < 0.03 * exact.abs().max()
    for gradient, tensor in zip(torch.autograd.grad(rough.float().sum(), tensors), tensors, strict=True):
        assert gradient.dtype == tensor.dtype
