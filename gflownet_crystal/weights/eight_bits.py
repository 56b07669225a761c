"""Matrices of weights as whole numbers of 8 bits with a scale for each row: half the size of float16."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gflownet_crystal.common.errors import WeightsError

SCALE = "/scale"
"""End of the name of the tensor that holds the scales of a matrix."""

_LARGEST = 127
_LEAST_ROW = 16
"""Numbers in a row below which the scales would take up the gain."""


def rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with each matrix of floating numbers rounded to 8 bits; others as they are.

    Args:
        tensors: named tensors; rows are along the last dimension.

    Returns:
        In place of a matrix its whole numbers (int8, of its shape) and, under its name with ``SCALE``, the largest
        absolute value of each row over 127 (float32, of its shape without the last dimension).
    """
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.dim() < 2 or tensor.shape[-1] < _LEAST_ROW:
            made[name] = tensor
            continue
        scale = tensor.float().abs().amax(dim=-1) / _LARGEST
        # a row of zeros has any scale
        quotient = tensor.float() / scale.clamp(min=torch.finfo(torch.float32).tiny)[..., None]
        made[name] = quotient.round().clamp(-_LARGEST, _LARGEST).to(torch.int8)
        made[name + SCALE] = scale
    return made


def restored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file with the matrices that :func:`rounded` made as float32, and no scales.

    Raises:
        WeightsError: a scale has no matrix of 8 bits, or one of another shape.
    """
    made = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    for name in tensors.keys() - made.keys():
        matrix, scale = made.get(name.removesuffix(SCALE)), tensors[name]
        if matrix is None or matrix.dtype != torch.int8 or matrix.shape[:-1] != scale.shape:
            raise WeightsError(
                f"the scales {name} of stored weights fit no matrix of 8 bits; restore the file or retrain"
            )
        made[name.removesuffix(SCALE)] = matrix.float() * scale[..., None]
    return made
