"""Which parts of a composition the source reaches: the backward mask by look-ahead.

A parent is reached if some order of its elements leads there through states that can be completed; that is decided
over all subsets of the elements present, from the smallest up.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from gflownet_crystal.envs.composition.lookahead import LookAhead
from gflownet_crystal.envs.composition.partial import Partial, extend, listed_elements, single

_CHUNK = 200_000


def reached_subsets(
    look: LookAhead, first: Tensor, base_depth: Tensor, m: int, group: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Which subsets of each composition's elements the source reaches.

    Args:
        look: the predicate.
        first: (231, E, K) allowed first actions.
        base_depth: (231,) look-ahead by group.
        m: number of elements of every composition.
        group: (n,) int64.
        counts: (n, E) int64 compositions.

    Returns:
        elements: (n, m) int64; reached: (n, 2 ** m) bool, where bit i of a column's number stands for
        ``elements[:, i]``.
    """
    elements, count = listed_elements(look.tables, counts, m)
    rows = max(1, _CHUNK >> m)
    parts = zip(group.split(rows), elements.split(rows), count.split(rows), strict=True)
    return elements, torch.cat([_reached(look, first, base_depth, *part) for part in parts])


def _reached(
    look: LookAhead, first: Tensor, base_depth: Tensor, group: Tensor, elements: Tensor, count: Tensor
) -> Tensor:
    n, m = elements.shape
    bit = 1 << torch.arange(m, device=group.device)
    reached = torch.zeros(2**m, n, dtype=torch.bool, device=group.device)
    reached[0] = True
    reached[bit] = first[group[:, None], elements, count - 1].T
    if m < 2:
        return reached.T
    by_size = _subsets_by_size(m, group.device)
    larger = torch.cat(by_size)
    which = ((larger[:, None] - 1) * n + torch.arange(n, device=group.device)).flatten()
    partial = _nonempty_subsets(look, base_depth, group, elements, count)
    ended = look.open_ended(partial[which]).view(len(larger), n).split([len(these) for these in by_size])
    for these, open_ended in zip(by_size, ended, strict=True):
        inside = (these[:, None] & bit).bool()
        before = reached[these[:, None] ^ bit] & inside[..., None]
        reached[these] = open_ended & before.any(dim=1)
    return reached.T


@cache
def _subsets_by_size(m: int, device: torch.device) -> list[Tensor]:
    """Numbers of the subsets of m elements, a tensor for each size from 2 to m; made once, as the host waits for it."""
    subsets = range(2**m)
    return [
        torch.tensor([s for s in subsets if s.bit_count() == size], device=device) for size in range(2, m + 1)
    ]


def _nonempty_subsets(
    look: LookAhead, base_depth: Tensor, group: Tensor, elements: Tensor, count: Tensor
) -> Partial:
    """((2 ** m - 1) * n) rows: block ``s - 1`` of n rows holds subset s of every row's elements."""
    tables = look.tables
    blocks: list[Partial] = []
    for position in range(elements.shape[1]):
        element, number = elements[:, position], count[:, position]
        alone = single(tables, group, base_depth, element, number)
        before = list(blocks)
        blocks.append(alone)
        if before:
            joined = Partial.cat(before)
            times = len(joined) // len(group)
            blocks.append(extend(tables, joined, element.repeat(times), number.repeat(times)))
    return Partial.cat(blocks)
