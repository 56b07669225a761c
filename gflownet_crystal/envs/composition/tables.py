"""Tables for the composition's look-ahead: charges that one further element can add.

Elements with the same charges, counts and metallicity form a class; tables are by class. The *offer* of a partial
composition is the set of counts that its Wyckoff positions and its atom budget leave to a further element. There
are a few hundred different offers, so the charges that each class supplies from each offer are tabulated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.occupation import IMPOSSIBLE, WyckoffOccupation
from gflownet_crystal.envs.composition.bounds import SupplyBounds
from gflownet_crystal.envs.composition.charge_sets import ChargeKernels, meets, n_words, pack
from gflownet_crystal.envs.composition.rules import CompositionRules

_CHUNK = 50_000


class CompositionTables(MovedToDevice):
    """All tables of a composition space.

    A charge set is W words (see :mod:`charge_sets`), and one more where metallic compositions pass: its bit 0 says
    "metals only". Two sets that share a bit make a valid whole, by charge or by metallicity.

    Attributes:
        n_counts: K.
        radius: largest total charge, in absolute value, that the rest of a composition can balance.
        start: (W',) the demand of the empty composition: charge 0, metals only.
        class_of: (E,) class of each element; class_size: (C,) usable elements in each.
        charges: (C, K + 1, W') sets of total charges; empty where the class may not have that count.
        charges_by_count: the same, (W', K + 1, C); allowed_by_count: (K + 1, E) bool.
        single_demand: (C * (K + 1), W') charges that compositions of one element demand.
        kernels: the same without metallicity, numbered ``class * (K + 1) + count``.
        metal_word: (C, W' - W) 1 for metals.
        transition, initial: the Wyckoff automaton.
        supply: (C, offers, W') charges that one element of a class can add.
        supply_at_least: (L, offers, W'); charges that at least ``level + 1`` usable elements can add.
        completing: (2, W', offers, K + 1, C); demands met by count k of the class and then one further element from
            the offer after it, if any usable element supplies it (0) or if enough do that none chosen matters (1).
    """

    def __init__(self, rules: CompositionRules) -> None:
        self.n_counts = rules.max_count
        self.most_elements = rules.most_elements
        model = ChargeModel(
            rules.elements, rules.states, rules.mixed_valence, rules.metallic, max_count=rules.max_count
        )
        allowed = rules.allowed_counts()
        self.radius = _radius(model.states[allowed.any(dim=1)], rules.n_atoms[1])
        self.n_charge_words = n_words(self.radius)
        member = _clip(model.charges, model.offset, self.radius)
        metal = model.is_metal & rules.metallic
        self._classify(member, allowed, metal, rules.metallic)
        occupation = WyckoffOccupation(rules.max_count)
        self.transition, self.initial = occupation.transition, occupation.initial
        self.bounds = SupplyBounds(self.transition, self.member, self.class_allowed, rules.n_atoms)
        self._tabulate_offers(rules.n_atoms)
        self._tabulate_supply()
        self._tabulate_completing()

    def offer(self, occupation: Tensor, n_atoms: Tensor) -> Tensor:
        """Number of the offer of partial compositions with these automaton states and atoms, any shape."""
        return self.offer_of[self.counts_of_state[occupation], n_atoms.clamp(max=self.most_atoms)]

    def within_bounds(self, demand: Tensor, occupation: Tensor, n_atoms: Tensor, steps: int) -> Tensor:
        """(n,) bool; False where no ``steps`` further elements have the atoms and the range of charges demanded."""
        between, possible = self.bounds.between(occupation, n_atoms, steps)
        metal = demand[:, self.n_charge_words :].any(dim=1)
        return possible & (metal | meets(between, demand[:, : self.n_charge_words]))

    def _classify(self, member: Tensor, allowed: Tensor, metal: Tensor, metallic: bool) -> None:
        """Group the elements and tabulate each class's charges."""
        member = member & allowed[..., None]
        usable = allowed.any(dim=1)
        signature = torch.cat([member.flatten(1), allowed, metal[:, None], usable[:, None]], dim=1)
        distinct, self.class_of = torch.unique(signature, dim=0, return_inverse=True)
        self.n_classes = len(distinct)
        self.class_size = torch.zeros(self.n_classes, dtype=torch.int64).index_add(
            0, self.class_of, usable.long()
        )
        first = torch.stack([(self.class_of == number).nonzero()[0, 0] for number in range(self.n_classes)])
        self.member, self.class_allowed = member[first], allowed[first]
        self.metal_word = (
            metal[first].long()[:, None] if metallic else torch.zeros(self.n_classes, 0, dtype=torch.int64)
        )
        words = pack(self.member)
        extra = self.metal_word[:, None] * self.class_allowed.long()[..., None]
        self.charges = torch.cat([words, extra], dim=-1)
        self.charges_by_count = self.charges.permute(2, 1, 0).contiguous()
        self.kernels = ChargeKernels(self.member.flatten(0, 1))
        words = pack(self.member.flip(-1)).flatten(0, 1)
        self.single_demand = torch.cat([words, extra.flatten(0, 1)], dim=-1)
        self.allowed_by_count = allowed.T.contiguous()
        zero = torch.zeros(2 * self.radius + 1, dtype=torch.bool)
        zero[self.radius] = True
        self.start = torch.cat([pack(zero), torch.ones(self.metal_word.shape[1], dtype=torch.int64)])

    def _tabulate_offers(self, n_atoms: Sequence[int]) -> None:
        """Number the distinct sets of counts that a state and the atoms so far leave."""
        self.least_atoms, self.most_atoms = n_atoms
        possible, self.counts_of_state = torch.unique(
            self.transition[:, 1:] != IMPOSSIBLE, dim=0, return_inverse=True
        )
        total = torch.arange(self.most_atoms + 1)[:, None] + torch.arange(1, self.n_counts + 1)
        within = (total >= self.least_atoms) & (total <= self.most_atoms)
        sets = possible[:, None] & within
        self.offers, number = torch.unique(sets.flatten(0, 1), dim=0, return_inverse=True)
        self.offer_of = number.view(sets.shape[:2])

    def _tabulate_supply(self) -> None:
        member = torch.cat([self.member[:, 1:], _as_bits(self.charges, self.n_charge_words)[:, 1:]], dim=-1)
        supply = torch.einsum("mk,ckq->cmq", self.offers.float(), member.float()) > 0.5
        suppliers = torch.einsum("cmq,c->mq", supply.float(), self.class_size.float())
        level = torch.arange(1, self.most_elements + 2)
        self.supply = self.packed(supply & (self.class_size > 0)[:, None, None])
        self.supply_at_least = self.packed(suppliers >= level[:, None, None])

    def packed(self, bits: Tensor) -> Tensor:
        """(..., W') sets from bool membership of the 2 * radius + 1 charges and, where it exists, metallicity."""
        return torch.cat(
            [pack(bits[..., : 2 * self.radius + 1]), bits[..., 2 * self.radius + 1 :].long()], dim=-1
        )

    def _tabulate_completing(self) -> None:
        """Demands that a count of a class and then one of its followers meet."""
        levels = self.supply_at_least[[0, max(0, self.most_elements - 1)]]
        self.adding = ChargeKernels(self.member.flatten(0, 1).flip(1))
        # words outermost and classes innermost, as the masks read it
        completing = self.preceded(levels.flatten(0, 1), range(self.n_classes))
        self.completing = completing.unflatten(1, levels.shape[:2]).transpose(0, 1).contiguous()

    def preceded(self, sets: Tensor, kinds: Sequence[int]) -> Tensor:
        """Combined supply of a count of each class and then each of the sets (m, W'), (W', m, K + 1, kinds)."""
        distinct, which = torch.unique(sets, dim=0, return_inverse=True)
        which_kind, words = torch.tensor(kinds, device=sets.device), self.n_charge_words
        count = torch.arange(self.n_counts + 1, device=sets.device)
        kernel = (which_kind * (self.n_counts + 1) + count[:, None]).flatten()
        found = distinct.new_zeros(len(distinct), len(kernel), distinct.shape[1])
        size = max(1, _CHUNK // len(kernel))
        for part, some in zip(found.split(size), distinct.split(size), strict=True):
            rows = some[:, :words].repeat_interleave(len(kernel), dim=0)
            sums = self.adding.subtract(rows, kernel.repeat(len(some)))
            part[..., :words] = sums.view(len(some), len(kernel), words)
        found[..., words:] = distinct[:, None, words:] & self.charges.flatten(0, 1)[kernel, words:]
        by_count = found.unflatten(1, (self.n_counts + 1, len(kinds)))
        return by_count.permute(3, 0, 1, 2).index_select(1, which)


def _as_bits(charges: Tensor, n_charge_words: int) -> Tensor:
    return charges[..., n_charge_words:].bool()


def _clip(charges: Tensor, offset: int, radius: int) -> Tensor:
    """Charges within the radius, from a table centred on ``offset``."""
    if offset >= radius:
        return charges[..., offset - radius : offset + radius + 1]
    return torch.nn.functional.pad(charges, (radius - offset, radius - offset))


def _radius(states: Tensor, most_atoms: int) -> int:
    """Largest charge that some of the atoms can have and the others can balance."""
    highest, lowest = int(states.clamp(min=0).amax()) if states.numel() else 0, 0
    lowest = int((-states).clamp(min=0).amax()) if states.numel() else 0
    return most_atoms * highest * lowest // max(1, highest + lowest)
