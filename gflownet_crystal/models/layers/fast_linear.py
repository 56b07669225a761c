"""Linear layers, fast in float32 on every processor, the same for a row among many, differentiable more than once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from gflownet_crystal.models.layers.linear import PRODUCT_ROWS, product, weight_gradient
from gflownet_crystal.models.layers.padding import ROUND

# beyond these, how oneDNN sums depends on the number of rows
_MOST_INPUTS, _FEWEST_OUTPUTS = 128, 64


def fast_linear(rows: Tensor, weight: Tensor) -> Tensor:
    """rows @ weight.T, (M, inputs) and (outputs, inputs) -> (M, outputs); in half precision under autocast.

    As :func:`torch.nn.functional.linear`, but faster for float32 on CPUs where numbers of rows occur again, as those of
    :func:`~gflownet_crystal.models.layers.padding.padded` graphs: they are computed by
    :func:`~gflownet_crystal.models.layers.linear.product`, which is prepared once for each number.
    Rounding is the same for a structure alone and in a batch. Gradients can be differentiated again, as losses on
    forces need it.
    """
    device = rows.device.type
    if device != "cpu" or rows.dtype != torch.float32 or torch.is_autocast_enabled(device):
        return linear(rows, weight)
    n_rows = len(rows)
    if n_rows % ROUND == 0 and n_rows and rows.shape[1] <= _MOST_INPUTS and len(weight) >= _FEWEST_OUTPUTS:
        return _Product.apply(rows, weight)
    # few rows would be summed in another order than many
    padding = (0, 0, 0, PRODUCT_ROWS - n_rows)
    return linear(pad(rows, padding), weight)[:n_rows] if n_rows < PRODUCT_ROWS else linear(rows, weight)


class _Product(torch.autograd.Function):
    """rows @ weight.T."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (rows, weight), (gradient,) = ctx.saved_tensors, gradients
        of_rows, of_weight = ctx.needs_input_grad
        return (
            _Product.apply(gradient, weight.mT) if of_rows else None,
            _WeightGradient.apply(gradient, rows) if of_weight else None,
        )


class _WeightGradient(torch.autograd.Function):
    """gradient.T @ rows."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, rows)
        return weight_gradient(gradient, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient, rows), (of_weight,) = ctx.saved_tensors, gradients
        of_gradient, of_rows = ctx.needs_input_grad
        return (
            _Product.apply(rows, of_weight) if of_gradient else None,
            _Product.apply(gradient, of_weight.mT) if of_rows else None,
        )
