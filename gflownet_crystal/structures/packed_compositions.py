"""Many compositions in few bytes: their elements and counts one after the other, as files of tables hold them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS

_NAMES = ("n_elements", "elements", "counts")
_LARGEST_COUNT = 2**15 - 1


def pack_compositions(composition: Tensor) -> dict[str, Tensor]:
    """Elements and counts of n compositions with m entries above zero in all.

    Args:
        composition: (n, 119) int64 counts.

    Returns:
        ``n_elements`` (n,) uint8, ``elements`` (m,) uint8 atomic numbers, ascending in each composition, and
        ``counts`` (m,) uint8, or int16 where a count is above 255.

    Raises:
        DataError: a count is below 0 or above 32767.
    """
    if bool(((composition < 0) | (composition > _LARGEST_COUNT)).any()):
        raise DataError(f"compositions to store have counts of 0 to {_LARGEST_COUNT}; leave others out")
    row, elements = composition.nonzero(as_tuple=True)
    counts = composition[row, elements]
    small = counts.numel() == 0 or int(counts.max()) < 2**8
    return {
        "n_elements": (composition > 0).sum(1).to(torch.uint8),
        "elements": elements.to(torch.uint8),
        "counts": counts.to(torch.uint8 if small else torch.int16),
    }


def unpack_compositions(packed: Mapping[str, Tensor]) -> Tensor:
    """Inverse of :func:`pack_compositions`: (n, 119) int64.

    Raises:
        DataError: the tensors do not belong together.
    """
    n_elements, elements, counts = (packed[name].long() for name in _NAMES)
    whole = len(elements) == len(counts) == int(n_elements.sum())
    if not whole or (len(elements) and int(elements.max()) >= N_ATOMIC_NUMBERS):
        raise DataError("packed compositions do not fit together: restore the file")
    composition = torch.zeros(len(n_elements), N_ATOMIC_NUMBERS, dtype=torch.int64)
    composition[torch.repeat_interleave(torch.arange(len(n_elements)), n_elements), elements] = counts
    return composition
