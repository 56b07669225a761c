"""Children of a composition that can be completed: the forward mask by look-ahead."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.crystallography.occupation import IMPOSSIBLE
from gflownet_crystal.envs.composition.charge_sets import pack, sumset, unpack
from gflownet_crystal.envs.composition.lookahead import LookAhead
from gflownet_crystal.envs.composition.partial import Partial, extend, single

_CHUNK = 200_000
_SUPPLY_CHUNK = 4096


def extensions(look: LookAhead, partial: Partial) -> Tensor:
    """Elements and counts that leave a composition which can be completed, by look-ahead on each child.

    Args:
        look: the predicate.
        partial: n compositions of at least one element.

    Returns:
        (n, E, K) bool; index ``count - 1``.
    """
    tables = look.tables
    successor = tables.transition[partial.occupation][:, 1:]
    count = torch.arange(1, tables.n_counts + 1, device=partial.device)
    room = (partial.n_atoms[:, None] + count <= look.most_atoms) & (partial.n_elements < look.most_elements)[
        :, None
    ]
    row, index = ((successor != IMPOSSIBLE) & room).nonzero().unbind(dim=1)
    allowed, unsure = _children(look, partial[row], successor[row, index], index + 1)
    which, element = unsure.nonzero().unbind(dim=1)
    allowed[which, element] = _open_ended_children(look, partial, row[which], element, index[which] + 1)
    mask = torch.zeros(len(partial), *look.allowed[:, 1:].shape, dtype=torch.bool, device=partial.device)
    mask.transpose(1, 2)[row, index] = allowed
    return mask


def _children(look: LookAhead, parent: Partial, occupation: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Table entries of the children of p parents by a given count (p,) each, element by element.

    Args:
        look: the predicate.
        parent: p compositions.
        occupation: (p,) automaton states after the count.
        count: (p,) int64.

    Returns:
        Two (p, E) bool: children that can be completed; children to be looked at one by one.
    """
    tables = look.tables
    n_elements, n_atoms = parent.n_elements + 1, parent.n_atoms + count
    direct, certain, maybe = _by_class(look, parent.demand, tables.offer(occupation, n_atoms), count)
    missing = look.missing(parent.chosen)[:, None] - (look.required & ~parent.chosen).long()
    closes = (n_atoms >= look.least_atoms) & (n_elements >= look.least_elements)
    may_follow = (n_elements < look.most_elements) & (n_elements + 1 >= look.least_elements)
    open_to = ~parent.chosen & tables.allowed_by_count[count]
    allowed = open_to & (missing == 0) & ((direct & closes[:, None]) | (certain & may_follow[:, None]))
    unsure = maybe & may_follow[:, None] & (missing <= 1)
    if look.may_be_deep:
        depth = look.depth_of(missing, n_elements[:, None], n_atoms[:, None], parent.base_depth[:, None])
        found, unsure_of_two = _by_two_more(
            look, parent.demand, occupation, n_atoms, count, n_elements, missing, depth
        )
        allowed, unsure = allowed | (open_to & found), unsure | unsure_of_two
    if look.requires_any:
        found, settled = _by_required(look, parent, occupation, n_atoms, count)
        allowed, unsure = allowed | (open_to & found), unsure & ~settled
    return allowed, open_to & ~allowed & unsure


def _by_two_more(
    look: LookAhead,
    demand: Tensor,
    occupation: Tensor,
    n_atoms: Tensor,
    count: Tensor,
    n_elements: Tensor,
    missing: Tensor,
    depth: Tensor,
) -> tuple[Tensor, Tensor]:
    """Children (p, E) that two more elements complete for certain; those where at least two more may."""
    deep = depth >= 2
    found, unsure = torch.zeros_like(deep), deep.clone()
    rows = deep.any(dim=1).nonzero().squeeze(1)
    if not len(rows):
        return found, unsure
    none_missing = torch.zeros(len(rows), len(look.usable), dtype=torch.bool, device=deep.device)
    supplies = look.deep_tables.further(2, none_missing, occupation[rows], n_atoms[rows])
    some_two, any_two = (_by_supply(look, demand[rows], supply, count[rows]) for supply in supplies)
    fit = ((n_elements + 2 <= look.most_elements) & (n_elements + 2 >= look.least_elements))[rows, None]
    found[rows] = deep[rows] & any_two & fit & (missing[rows] == 0)
    unsure[rows] = deep[rows] & ((some_two & fit & (missing[rows] <= 2)) | (depth[rows] > 2))
    return found, unsure


def _by_required(
    look: LookAhead, parent: Partial, occupation: Tensor, n_atoms: Tensor, count: Tensor
) -> tuple[Tensor, Tensor]:
    """Children (p, E) by a non-required element that the missing required ones complete; children that are decided.

    Decided are children that need no elements beyond the missing required ones.
    """
    missing = look.missing(parent.chosen)
    found, settled = torch.zeros_like(parent.chosen), torch.zeros_like(parent.chosen)
    rows = (missing > 0).nonzero().squeeze(1)
    if not len(rows):
        return found, settled
    number, n_elements, other = missing[rows], parent.n_elements[rows] + 1, ~look.required
    supply = look.deep_tables.required(look.required & ~parent.chosen[rows], occupation[rows], n_atoms[rows])
    fit = (n_elements + number <= look.most_elements) & (n_elements + number >= look.least_elements)
    found[rows] = _by_supply(look, parent.demand[rows], supply, count[rows]) & fit[:, None] & other
    depth = look.depth_of(number, n_elements, n_atoms[rows], parent.base_depth[rows])
    settled[rows] = (depth <= number)[:, None] & other
    return found, settled


def _by_supply(look: LookAhead, demand: Tensor, supply: Tensor, count: Tensor) -> Tensor:
    """Whether a count (p,) of each element and then a given supply (p, W') meet a demand (p, W'), (p, E) bool."""
    tables, words = look.tables, look.tables.n_charge_words
    parts = []
    for some, other in zip(demand.split(_SUPPLY_CHUNK), supply.split(_SUPPLY_CHUNK), strict=True):
        wanted, given = (unpack(sets[:, :words], tables.radius) for sets in (some, other))
        parts.append(torch.cat([pack(sumset(wanted, given.flip(1))), (some & other)[:, words:]], dim=1))
    rest = torch.cat(parts)
    found = torch.zeros(len(rest), tables.n_classes, dtype=torch.int64, device=rest.device)
    for word in range(rest.shape[1]):
        found |= rest[:, word, None] & tables.charges_by_count[word, count]
    return (found != 0)[:, tables.class_of]


def _by_class(look: LookAhead, demand: Tensor, offer: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether a count of each element closes a demand at once; surely, or possibly, with one more element after it.

    Returns:
        Three (p, E) bool.
    """
    tables = look.tables
    direct, certain, maybe = torch.zeros(
        3, len(demand), tables.n_classes, dtype=torch.int64, device=demand.device
    ).unbind()
    for word in range(demand.shape[1]):
        wanted = demand[:, word, None]
        direct |= wanted & tables.charges_by_count[word, count]
        certain |= wanted & tables.completing[1, word, offer, count]
        maybe |= wanted & tables.completing[0, word, offer, count]
    found = torch.stack([direct, certain, maybe]) != 0
    direct, certain, maybe = found.index_select(2, tables.class_of).unbind()
    return direct, certain, maybe


def _open_ended_children(
    look: LookAhead, partial: Partial, row: Tensor, element: Tensor, count: Tensor
) -> Tensor:
    """(q,) bool: whether the children of ``partial[row]`` can be completed, looked at one by one."""
    parts = zip(row.split(_CHUNK), element.split(_CHUNK), count.split(_CHUNK), strict=True)
    found = [look.open_ended(extend(look.tables, partial[rows], these, many)) for rows, these, many in parts]
    return torch.cat(found) if found else torch.zeros_like(row, dtype=torch.bool)


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
    allowed = look.allowed[:, 1:].repeat(len(distinct), 1, 1)
    for part in allowed.nonzero().split(_CHUNK):
        row, element, index = part.unbind(dim=1)
        allowed[row, element, index] = look.open_ended(
            single(tables, example[row], base_depth, element, index + 1)
        )
    return allowed[kind]
