"""Fast products and linear layers against float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.models.layers.linear import Linear, product, product_dtype, weight_gradient

SHAPES = [
    (rows, inputs, outputs) for rows in (0, 1, 15, 16, 17, 100, 160) for inputs, outputs in ((5, 24), (24, 5))
]


def some_rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_products_are_those_of_float64(rows, inputs, outputs):
    x, weight = some_rows(rows, inputs), some_rows(outputs, inputs, seed=1)
    gradient = some_rows(rows, outputs, seed=2)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        x_, weight_, gradient_ = (tensor.to(dtype) for tensor in (x, weight, gradient))
        torch.testing.assert_close(product(x_, weight_).double(), x @ weight.T, atol=tolerance, rtol=0)
        # a transposed weight and cut-out rows are not contiguous
        strided = torch.cat([gradient_, gradient_], dim=1)[:, :outputs]
        transposed = product(strided, weight_.T)
        torch.testing.assert_close(transposed.double(), gradient @ weight, atol=tolerance, rtol=0)
        sums = weight_gradient(strided, x_).double()
        torch.testing.assert_close(sums, gradient.T @ x, atol=10 * tolerance, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_a_layer_and_its_gradient_are_those_of_float64(rows, inputs, outputs, bias):
    layer = Linear(inputs, outputs, torch.Generator().manual_seed(0), bias)
    exact = Linear(inputs, outputs, torch.Generator().manual_seed(0), bias).double()
    results = []
    for module in (layer, exact):
        x = some_rows(rows, inputs).to(module.weight.dtype).requires_grad_()
        y = module(x)
        weights = some_rows(rows, outputs, seed=3).to(y)
        results.append([y, *torch.autograd.grad((y * weights).sum(), [x, *module.parameters()])])
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine.double(), expected, atol=1e-4, rtol=1e-5)
    affine = some_rows(rows, inputs) @ exact.weight.T + (0 if exact.bias is None else exact.bias)
    torch.testing.assert_close(results[1][0], affine, atol=1e-12, rtol=0)


def test_autocast_rounds_factors_only():
    layer = Linear(24, 8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.bias.fill_(1000.0)
    x = some_rows(40, 24).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        assert product_dtype(x) == torch.bfloat16
        assert product_dtype(x.double()) == torch.float64
    assert product_dtype(x) == torch.float32
    assert y.dtype == torch.float32
    # next to 1000, bfloat16 would be off by 4
    torch.testing.assert_close(y, layer(x), atol=0.1, rtol=0)
    assert not torch.equal(y, layer(x))


def test_initial_weights_come_from_the_generator():
    def weights(seed: int) -> Tensor:
        return Linear(4, 3, torch.Generator().manual_seed(seed)).weight

    before = torch.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert weights(1).abs().max() <= 0.5
    assert torch.equal(before, torch.get_rng_state())
