"""Rows of batches that are computed apart from the others, without waiting for a GPU to say how many they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gflownet_crystal.common.batch import Rows
from gflownet_crystal.common.devices import runs_ahead


def computed_where(needed: Tensor, otherwise: Tensor, compute: Callable[[Rows], Tensor]) -> Tensor:
    """Values of ``compute`` in the rows that need them, others elsewhere.

    On a CPU only these rows are computed. On a GPU all are, because the host would have to wait for their number.

    Args:
        needed: (n,) bool.
        otherwise: (n, ...) values of the rows that do not need it.
        compute: values (m, ...) of m rows, given by their numbers or a slice.
    """
    if runs_ahead(needed.device):
        chosen = needed.view(-1, *[1] * (otherwise.dim() - 1))
        return torch.where(chosen, compute(slice(None)), otherwise)
    rows = needed.nonzero().squeeze(1)
    return otherwise.index_put((rows,), compute(rows)) if len(rows) else otherwise


def rows_by_number(number: Tensor, most: int) -> Iterator[tuple[int, Tensor]]:
    """Rows of equal numbers, for which the host waits once.

    Args:
        number: (n,) int64 from 0 to ``most``.
        most: greatest number.

    Yields:
        Each number that occurs, in ascending order, and its rows (m,) int64, ascending too.
    """
    sizes = (number == torch.arange(most + 1, device=number.device)[:, None]).sum(dim=1).tolist()
    groups = number.argsort(stable=True).split(sizes)
    return ((size, rows) for size, rows in enumerate(groups) if len(rows))
