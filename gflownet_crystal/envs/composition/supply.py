"""Charges that several further elements supply together, by Wyckoff state and atoms so far, one element at a time.

Many Wyckoff states and numbers of atoms leave the same way on, so a table numbers its distinct sets, and a step from
one table to the next is made once for each distinct row of successors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.crystallography.occupation import IMPOSSIBLE
from gflownet_crystal.envs.composition.charge_sets import unpack
from gflownet_crystal.envs.composition.tables import CompositionTables


@dataclass(frozen=True)
class Supply:
    """Sets of charges that complete a partial composition, by its Wyckoff state and number of atoms.

    Attributes:
        number: (S, N + 1) int64, the set of each Wyckoff state and number of atoms.
        sets: (2, m, W') int64, the m distinct sets as ``CompositionTables`` packs them: charges some elements supply,
            and those supplied whatever was chosen before.
    """

    number: Tensor
    sets: Tensor

    def of(self, occupation: Tensor, n_atoms: Tensor) -> Tensor:
        """(2, ..., W') sets of Wyckoff states and atoms of any one shape."""
        return self.sets[:, self.number[occupation, n_atoms.clamp(max=self.number.shape[1] - 1)]]


def no_more(tables: CompositionTables) -> Supply:
    """Of compositions that have all their elements: the demand of a neutral one where the atoms suffice."""
    n_states = len(tables.transition)
    atoms = torch.arange(tables.most_atoms + 1, device=tables.start.device)
    number = (atoms >= tables.least_atoms).long().repeat(n_states, 1)
    number[IMPOSSIBLE] = 0
    return Supply(number, torch.stack([torch.zeros_like(tables.start), tables.start]).expand(2, -1, -1))


def one_more(tables: CompositionTables) -> Supply:
    """Of compositions that one element closes: some element; enough that none chosen before matters."""
    n_states, device = len(tables.transition), tables.start.device
    state = torch.arange(n_states, device=device)[:, None]
    atoms = torch.arange(tables.most_atoms + 1, device=device)
    number = tables.offer(state.expand(-1, len(atoms)), atoms.expand(n_states, -1))
    return Supply(number, tables.supply_at_least[[0, max(0, tables.most_elements - 1)]])


def preceded(tables: CompositionTables, later: Supply, kind: int) -> Supply:
    """Combined supply of a further element of class ``kind`` and then ``later``."""
    successors, number = _successors(tables, later)
    return _distinct(Supply(number, _supplied(tables, later, successors, kind)))


def preceded_by_any(tables: CompositionTables, later: Supply) -> Supply:
    """Combined supply of a further element of any class and then ``later``.

    Whatever was chosen before, a charge is supplied that at least as many elements supply as a composition can have:
    one of them is not among those chosen.
    """
    successors, number = _successors(tables, later)
    some = torch.zeros(len(successors), later.sets.shape[2], dtype=torch.int64, device=successors.device)
    width = 2 * tables.radius + 1 + tables.metal_word.shape[1]
    suppliers = torch.zeros(len(successors), width, dtype=torch.int64, device=successors.device)
    words = tables.n_charge_words
    for kind in range(tables.n_classes):
        size = int(tables.class_size[kind])
        if not size:
            continue
        by_any, by_every = _supplied(tables, later, successors, kind)
        some |= by_any
        bits = torch.cat([unpack(by_every[:, :words], tables.radius), by_every[:, words:].bool()], dim=1)
        suppliers += size * bits
    every = tables.packed(suppliers >= tables.most_elements)
    return _distinct(Supply(number, torch.stack([some, every])))


def _successors(tables: CompositionTables, later: Supply) -> tuple[Tensor, Tensor]:
    """Distinct rows (r, K) of the sets after each count 1..K, and which row each state and number of atoms has."""
    count = torch.arange(1, tables.n_counts + 1, device=tables.start.device)
    after = tables.transition[:, 1:]
    # an impossible state supplies nothing
    nothing = later.number[IMPOSSIBLE, 0]
    rows, numbers, known = [], [], 0
    for atoms in range(tables.most_atoms + 1):
        total = atoms + count
        follows = later.number[after, total.clamp(max=tables.most_atoms)]
        distinct, which = torch.unique(
            torch.where(total <= tables.most_atoms, follows, nothing), dim=0, return_inverse=True
        )
        rows.append(distinct)
        numbers.append(which + known)
        known += len(distinct)
    return torch.cat(rows), torch.stack(numbers, dim=1)


def _supplied(tables: CompositionTables, later: Supply, successors: Tensor, kind: int) -> Tensor:
    """(2, r, W') charges that some count of a class and then the set after it supply, by rows of successors."""
    sets = later.sets.flatten(0, 1)
    sums = tables.preceded(sets, [kind])[..., 0]
    n_sets = later.sets.shape[1]
    found = sets.new_zeros(len(later.sets), len(successors), sets.shape[1])
    for count in tables.class_allowed[kind].nonzero().squeeze(1).tolist():
        after = successors[:, count - 1]
        for level in range(len(found)):
            found[level] |= sums[:, level * n_sets + after, count].T
    return found


def _distinct(supply: Supply) -> Supply:
    """The same with equal sets numbered once."""
    joined = supply.sets.transpose(0, 1).flatten(1)
    distinct, which = torch.unique(joined, dim=0, return_inverse=True)
    sets = distinct.unflatten(1, (len(supply.sets), -1)).transpose(0, 1).contiguous()
    return Supply(which[supply.number], sets)
