"""Linear layers whose float32 products are fast on every CPU, and whose sums autocast leaves alone."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_weight

PRODUCT_ROWS = 16
"""The fast path takes multiples of this many rows."""


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """rows @ weight.T, for gradients that are written by hand.

    On CPUs, torch gives float32 matrix products to MKL, which is slow on processors of other makes, and convolutions
    to oneDNN, which is not: there the rows go through a convolution of width one, at up to twice the speed. oneDNN
    prepares again for each number of rows (0.5 ms), so only few different ones should occur.

    Args:
        rows: (M, inputs); fast if M is a multiple of 16.
        weight: (outputs, inputs), of the same dtype.
    """
    if not _fast(rows):
        return rows @ weight.T
    result = conv2d(_as_image(rows), weight[:, :, None, None])
    return result.permute(0, 2, 3, 1).reshape(len(rows), len(weight))


def weight_gradient(gradient: Tensor, rows: Tensor) -> Tensor:
    """gradient.T @ rows, the gradient of the weight of :func:`product`, (outputs, inputs), as fast.

    Args:
        gradient: (M, outputs) of the product.
        rows: (M, inputs), of the same dtype.
    """
    if not _fast(rows):
        return gradient.T @ rows
    shape = (gradient.shape[1], rows.shape[1], 1, 1)
    return conv2d_weight(_as_image(rows), shape, _as_image(gradient))[:, :, 0, 0]


def product_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype that the factors of a product with ``tensor`` should have: its own, or the one autocast wants."""
    device = tensor.device.type
    if tensor.dtype == torch.float64 or not torch.is_autocast_enabled(device):
        return tensor.dtype
    return torch.get_autocast_dtype(device)


class Linear(nn.Module):
    """Linear layer (M, inputs) -> (M, outputs).

    Under autocast only the two factors are rounded: sums, biases and so all hidden states keep the dtype of the input.

    Args:
        inputs: width of the input.
        outputs: width of the output.
        generator: random generator of the initial weights, uniform within 1 / sqrt(inputs), as torch's own.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator, bias: bool = True) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.weight = parameter(outputs, inputs)
        self.bias = parameter(outputs) if bias else None

    def forward(self, rows: Tensor, outputs: slice | None = None) -> Tensor:
        """(M, inputs) -> (M, outputs), or some of the outputs."""
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        if outputs is not None:
            weight, bias = weight[outputs], None if bias is None else bias[outputs]
        dtype = product_dtype(rows)
        if dtype == rows.dtype and not _fast(rows):
            return linear(rows, weight, bias)
        return _Linear.apply(rows, weight, bias, dtype)


class _Linear(torch.autograd.Function):
    """:func:`product` of factors of a dtype, plus a bias in that of the rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        factor = rows.to(dtype)
        ctx.save_for_backward(factor, weight)
        result = product(factor, weight.to(dtype)).to(rows.dtype)
        return result if bias is None else result.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        wants_rows, wants_weight, wants_bias, _ = ctx.needs_input_grad
        factor = gradient.to(rows.dtype)
        d_rows = product(factor, weight.T.to(rows.dtype).contiguous()) if wants_rows else None
        d_weight = weight_gradient(factor, rows) if wants_weight else None
        return (
            None if d_rows is None else d_rows.to(gradient.dtype),
            None if d_weight is None else d_weight.to(weight.dtype),
            gradient.sum(0) if wants_bias else None,
            None,
        )


def _fast(rows: Tensor) -> bool:
    """Whether the convolution is the faster way."""
    plain = rows.device.type == "cpu" and rows.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and len(rows) > 0 and len(rows) % PRODUCT_ROWS == 0 and torch.backends.mkldnn.is_available()


def _as_image(rows: Tensor) -> Tensor:
    """Rows (M, channels) as 16 images one pixel wide, channels last: a layout that oneDNN reads without a copy."""
    # torch leaves batches of fewer than 16 images to its own slow convolution
    return rows.contiguous().view(PRODUCT_ROWS, -1, 1, rows.shape[1]).permute(0, 3, 1, 2)
