"""Which parts of a composition the source reaches: the backward mask by look-ahead.

A parent is reached if some order of its elements leads there through states that can be completed; that is decided
over all subsets of the elements present, from the smallest up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.envs.composition.lookahead import LookAhead
from gflownet_crystal.envs.composition.partial import Partial, extend, listed_elements, single

_CHUNK = 200_000


def reached_subsets(
    look: LookAhead, first: Tensor, base_depth: Tensor, group: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Which subsets of each composition's elements the source reaches.

    Args:
        look: the predicate.
        first: (231, E, K) allowed first actions.
        base_depth: (231,) look-ahead by group.
        group: (n,) int64.
        counts: (n, E) int64 compositions of exactly m elements, the same m in all rows.

    Returns:
        elements: (n, m) int64; reached: (n, 2 ** m) bool, where bit i of a column's number stands for
        ``elements[:, i]``.
    """
    m = int((counts[0] > 0).sum())
    elements, count = listed_elements(look.tables, counts, m)
    rows = max(1, _CHUNK >> m)
    parts = zip(group.split(rows), elements.split(rows), count.split(rows), strict=True)
    return elements, torch.cat([_reached(look, first, base_depth, *part) for part in parts])


def _reached(
    look: LookAhead, first: Tensor, base_depth: Tensor, group: Tensor, elements: Tensor, count: Tensor
) -> Tensor:
    n, m = elements.shape
    subset = torch.arange(2**m, device=group.device)
    bit = torch.arange(m, device=group.device)
    size = (subset[:, None] >> bit & 1).sum(dim=1)
    reached = torch.zeros(2**m, n, dtype=torch.bool, device=group.device)
    reached[0] = True
    reached[1 << bit] = first[group[:, None], elements, count - 1].T
    if m < 2:
        return reached.T
    larger = (size >= 2).nonzero().squeeze(1)
    which = ((larger[:, None] - 1) * n + torch.arange(n, device=group.device)).flatten()
    partial = _nonempty_subsets(look, base_depth, group, elements, count)
    ended = torch.zeros_like(reached)
    ended[larger] = look.open_ended(partial[which]).view(len(larger), n)
    for number in range(2, m + 1):
        these = (size == number).nonzero().squeeze(1)
        inside = (these[:, None] >> bit & 1).bool()
        before = reached[these[:, None] ^ (1 << bit)] & inside[..., None]
        reached[these] = ended[these] & before.any(dim=1)
    return reached.T


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
