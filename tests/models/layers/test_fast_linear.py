"""The fast linear layer against torch's own, and its first and second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from gflownet_crystal.models.layers import fast_linear as module
from gflownet_crystal.models.layers.fast_linear import fast_linear


@pytest.mark.parametrize("n_rows", [0, 1, 17, 1024])
def test_outputs_and_two_derivatives_equal_torchs(n_rows):
    generator = torch.Generator().manual_seed(0)
    shapes = ((n_rows, 12), (70, 12), (n_rows, 70))
    rows, weight, direction = (torch.randn(shape, generator=generator) for shape in shapes)
    found = []
    for layer, dtype in ((fast_linear, torch.float32), (linear, torch.float64)):
        rows, weight, direction = (
            tensor.detach().to(dtype).requires_grad_() for tensor in (rows, weight, direction)
        )
        outputs = layer(rows, weight)
        first = torch.autograd.grad(outputs.sin(), (rows, weight), direction, create_graph=True)
        total = first[0].square().sum() + first[1].square().sum()
        found.append((outputs, *first, *torch.autograd.grad(total, (rows, weight, direction))))
    for mine, theirs in zip(*found, strict=True):
        scale = max(1.0, theirs.abs().max().item()) if theirs.numel() else 1.0
        torch.testing.assert_close(mine.double(), theirs, atol=3e-6 * scale, rtol=0)


def test_derivatives_of_the_fast_path_equal_finite_differences():
    """In float64, by sending its products, which are plain there, through the functions of the fast path."""
    generator = torch.Generator().manual_seed(0)
    rows, weight = (
        torch.randn(shape, generator=generator).double().requires_grad_() for shape in ((5, 3), (4, 3))
    )
    assert torch.autograd.gradcheck(module._Product.apply, (rows, weight))
    assert torch.autograd.gradgradcheck(module._Product.apply, (rows, weight))


@pytest.mark.parametrize(("inputs", "outputs"), [(96, 96), (128, 128), (16, 128), (384, 48), (128, 20)])
def test_a_row_is_the_same_among_any_others(inputs, outputs):
    generator = torch.Generator().manual_seed(0)
    rows, weight = (
        torch.randn(700, inputs, generator=generator),
        torch.randn(outputs, inputs, generator=generator),
    )
    together = fast_linear(rows, weight)
    for size in (1, 5, 16, 64, 333, 640):
        part = fast_linear(rows[:size], weight)
        # up to the last bit or two of the largest term, on any processor
        torch.testing.assert_close(part, together[:size], atol=5e-7 * inputs**0.5, rtol=0)


def test_autocast_reaches_it():
    rows, weight = torch.ones(600, 8), torch.ones(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert fast_linear(rows, weight).dtype == torch.bfloat16
    assert fast_linear(rows, weight).dtype == torch.float32
