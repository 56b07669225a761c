"""The composition's masks in both directions, from the look-ahead predicate.

Forward, an action is allowed if the child can be completed. Backward, a parent is allowed if some order of its
elements reaches it from the source through such states: decided over all subsets of the elements present.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.crystallography.occupation import IMPOSSIBLE
from gflownet_crystal.envs.composition_lookahead import LookAhead
from gflownet_crystal.envs.composition_partial import Partial, empty_partial, extend, listed_elements

_CHUNK = 200_000


def extensions(look: LookAhead, partial: Partial) -> Tensor:
    """Elements and counts that leave a composition which can be completed, by look-ahead on each child.

    Args:
        look: the predicate.
        partial: n compositions of at least one element.

    Returns:
        (n, E, K) bool; index ``count - 1``.
    """
    tables = look.tables
    n_elements, missing = partial.n_elements, look.missing(partial.chosen)
    successor = tables.transition[partial.occupation][:, 1:]
    count = torch.arange(1, tables.n_counts + 1, device=partial.device)
    room = (partial.n_atoms[:, None] + count <= look.most_atoms) & (n_elements < look.most_elements)[:, None]
    pairs = ((successor != IMPOSSIBLE) & room).nonzero()
    direct, certain, maybe = _by_class(look, partial, successor, pairs)

    missing_after = missing[:, None] - (look.required & ~partial.chosen).long()
    whole = (missing_after == 0)[..., None]
    enough_atoms = partial.n_atoms[:, None] + count >= look.least_atoms
    closes = (enough_atoms & (n_elements + 1 >= look.least_elements)[:, None])[:, None]
    may_follow = ((n_elements + 2 <= look.most_elements) & (n_elements + 2 >= look.least_elements))[:, None, None]

    open_to = ~partial.chosen[..., None] & look.allowed[None, :, 1:]
    allowed = open_to & whole & ((direct & closes) | (certain & may_follow))
    unsure = open_to & ~allowed & maybe & may_follow & (missing_after <= 1)[..., None]
    if look.may_be_deep:
        fits = torch.zeros_like(room).index_put(tuple(pairs.unbind(1)), torch.ones_like(room[0, 0]))
        unsure = open_to & ~allowed & fits[:, None]
    return _settle(look, partial, allowed, unsure)


def _by_class(look: LookAhead, partial: Partial, successor: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What each (row, count) gives for each element's class: closed at once; surely, and possibly, by one more.

    Returns:
        Three (n, E, K) bool; rows and counts not among ``pairs`` are False.
    """
    tables = look.tables
    row, index = pairs.unbind(dim=1)
    demand = partial.demand[row]
    offer = tables.offer(successor[row, index], partial.n_atoms[row] + index + 1)
    hits = torch.zeros(3, len(row), tables.n_classes, dtype=torch.int64, device=partial.device)
    for word in range(demand.shape[1]):
        wanted = demand[:, word, None]
        hits[0] |= wanted & tables.charges_by_count[word, index + 1]
        hits[1] |= wanted & tables.completing[1, word, offer, index + 1]
        hits[2] |= wanted & tables.completing[0, word, offer, index + 1]
    dense = torch.zeros(3, *successor.shape, tables.n_classes, dtype=torch.bool, device=partial.device)
    dense[:, row, index] = hits != 0
    direct, certain, maybe = dense[..., tables.class_of].transpose(2, 3)
    return direct, certain, maybe


def _settle(look: LookAhead, partial: Partial, allowed: Tensor, unsure: Tensor) -> Tensor:
    """``allowed`` with the unsure children looked at one by one."""
    for part in unsure.nonzero().split(_CHUNK):
        row, element, index = part.unbind(dim=1)
        child = extend(look.tables, partial[row], element, index + 1)
        allowed = allowed.index_put((row, element, index), look.open_ended(child))
    return allowed


def first_elements(look: LookAhead, base_depth: Tensor) -> Tensor:
    """Allowed first actions in each space group.

    Args:
        look: the predicate.
        base_depth: (231,) int64 look-ahead by group.

    Returns:
        (231, E, K) bool; entry 0 is False.
    """
    tables = look.tables
    start = torch.stack([tables.initial, base_depth], dim=1)
    distinct, kind = torch.unique(start, dim=0, return_inverse=True)
    example = torch.zeros(len(distinct), dtype=torch.int64, device=kind.device)
    example = example.scatter(0, kind, torch.arange(len(kind), device=kind.device))
    partial = empty_partial(tables, example, base_depth)
    unsure = look.allowed[:, 1:].expand(len(distinct), -1, -1)
    return _settle(look, partial, torch.zeros_like(unsure), unsure)[kind]


def reached_subsets(look: LookAhead, first: Tensor, base_depth: Tensor, group: Tensor, counts: Tensor) -> Tensor:
    """Which subsets of each composition's elements the source reaches.

    Args:
        look: the predicate.
        first: (231, E, K) allowed first actions.
        base_depth: (231,) look-ahead by group.
        group: (n,) int64.
        counts: (n, E) int64 compositions of exactly m elements, the same m in all rows.

    Returns:
        (n, 2 ** m) bool; bit i of the column's number stands for the row's i-th element in vocabulary order.
    """
    m = int((counts[0] > 0).sum())
    elements, count = listed_elements(counts, m)
    rows = max(1, _CHUNK >> m)
    parts = zip(group.split(rows), elements.split(rows), count.split(rows), strict=True)
    return torch.cat([_reached(look, first, base_depth, *part) for part in parts])


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
    partial = _all_subsets(look, empty_partial(look.tables, group, base_depth), elements, count)
    larger = (size >= 2).nonzero().squeeze(1)
    which = (larger[:, None] * n + torch.arange(n, device=group.device)).flatten()
    ended = torch.zeros_like(reached)
    ended[larger] = look.open_ended(partial[which]).view(len(larger), n)
    for number in range(2, m + 1):
        these = (size == number).nonzero().squeeze(1)
        inside = (these[:, None] >> bit & 1).bool()
        before = reached[these[:, None] ^ (1 << bit)] & inside[..., None]
        reached[these] = ended[these] & before.any(dim=1)
    return reached.T


def _all_subsets(look: LookAhead, partial: Partial, elements: Tensor, count: Tensor) -> Partial:
    """(2 ** m * n) rows: all subsets of the first row's elements of all rows, subsets outermost."""
    for position in range(elements.shape[1]):
        times = 2**position
        element, number = elements[:, position].repeat(times), count[:, position].repeat(times)
        partial = Partial.cat([partial, extend(look.tables, partial, element, number)])
    return partial
