"""A perceptron on pairs of edges that is computed and differentiated piece by piece, in the processor's cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from gflownet_crystal.models.layers.linear import product, product_dtype, weight_gradient

_CACHED_NUMBERS = {"cpu": 1 << 18}
_HELD_NUMBERS = 1 << 26


def triplet_perceptron(
    first_part: Tensor,
    second_part: Tensor,
    angular: Tensor,
    angular_weight: Tensor,
    hidden_weight: Tensor,
    out_weight: Tensor,
    first: Tensor,
    second: Tensor,
) -> Tensor:
    """Outputs of a perceptron with two hidden layers and no biases for each pair of edges.

    The first layer reads a concatenation of terms of the first edge, of the second edge and of the angle, so it is a
    sum of a product for each: those of the edges are computed on the edges, before the call. Nothing wider than the
    output is kept for all T pairs at once: hidden values are computed again for the gradients.

    Args:
        first_part: (E, H), the first layer's product for an edge that comes first.
        second_part: (E, H), for one that comes second.
        angular: (T, L) functions of the angle.
        angular_weight: (H, L), the first layer's weights for them.
        hidden_weight: (H, H), of the second layer.
        out_weight: (F, H).
        first: (T,) int64, first edge of each pair.
        second: (T,) int64, second edge.

    Returns:
        (T, F), in the dtype of autocast where that is on. Differentiable once.
    """
    inputs = (first_part, second_part, angular, angular_weight, hidden_weight, out_weight)
    dtype = product_dtype(angular)
    return _TripletPerceptron.apply(*(tensor.to(dtype) for tensor in inputs), first, second)


class _TripletPerceptron(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        *_, hidden_weight, out_weight, first, _ = tensors
        outputs = out_weight.new_empty((len(first), len(out_weight)))
        for piece in _pieces(len(first), hidden_weight):
            inner = silu(_first_layer(piece, *tensors), inplace=True)
            hidden = silu(product(inner, hidden_weight), inplace=True)
            torch.mm(hidden, out_weight.mT, out=outputs[piece])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        first_part, second_part, angular, angular_weight, hidden_weight, out_weight, first, second = tensors
        dtype = first_part.dtype
        # sums over pieces
        wide = torch.promote_types(dtype, torch.float32)
        summed = (first_part, second_part, angular_weight, hidden_weight, out_weight)
        of_first, of_second, *of_weights = (torch.zeros_like(tensor, dtype=wide) for tensor in summed)
        of_angular = torch.empty_like(angular) if ctx.needs_input_grad[2] else None
        for piece in _pieces(len(first), hidden_weight):
            sums, gradient = _first_layer(piece, *tensors), gradients[0][piece]
            inner = silu(sums)
            hidden_sums = product(inner, hidden_weight)
            of_weights[2] += gradient.mT @ silu(hidden_sums)
            step = torch.ops.aten.silu_backward(gradient @ out_weight, hidden_sums)
            of_weights[1] += weight_gradient(step, inner)
            step = torch.ops.aten.silu_backward(product(step, hidden_weight.mT), sums)
            of_weights[0] += weight_gradient(step, angular[piece])
            if of_angular is not None:
                of_angular[piece] = product(step, angular_weight.mT)
            step = step.to(wide)
            of_first.index_add_(0, first[piece], step)
            of_second.index_add_(0, second[piece], step)
        parts, weights = ([x.to(dtype) for x in group] for group in ((of_first, of_second), of_weights))
        return (*parts, of_angular, *weights, None, None)


def _first_layer(piece: slice, *tensors: Tensor) -> Tensor:
    """Sums of the first layer, (rows of the piece, H), from the arguments of :func:`triplet_perceptron`."""
    first_part, second_part, angular, angular_weight, _, _, first, second = tensors
    sums = first_part.index_select(0, first[piece]).add_(second_part.index_select(0, second[piece]))
    return sums.addmm_(angular[piece], angular_weight.mT)


def _pieces(n_rows: int, hidden_weight: Tensor) -> list[slice]:
    """Slices of rows, short enough for the cache of a processor."""
    numbers = _CACHED_NUMBERS.get(hidden_weight.device.type, _HELD_NUMBERS)
    rows = max(1, numbers // len(hidden_weight))
    return [slice(start, start + rows) for start in range(0, n_rows, rows)]
