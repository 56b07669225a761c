"""Tables for looking further than one element ahead: they settle nearly every question that would need a search.

* ``required``: what the required elements still missing supply together, exactly;
* ``some_two``: what some two further elements supply, whichever they are - a refusal where it does not help;
* ``any_two``: what two further elements supply whatever was chosen before - a certificate where it helps.

They are made when first needed. All are by Wyckoff state and atoms so far, (S, N + 1, W') sets as
:class:`CompositionTables` packs them.
"""

from __future__ import annotations

from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from gflownet_crystal.crystallography.occupation import IMPOSSIBLE
from gflownet_crystal.envs.charge_sets import ChargeKernels, unpack
from gflownet_crystal.envs.composition_rules import CompositionRules
from gflownet_crystal.envs.composition_tables import CompositionTables

MOST_REQUIRED = 4
"""With more required elements than this, ``required`` is left empty and a search decides."""

_STATES = 16


class DeepTables:
    """The tables above.

    Args:
        rules: the constraints.
        tables: those of one element.

    Attributes:
        required_numbers: (r,) int64 places of the required elements in the vocabulary, at most MOST_REQUIRED.
    """

    def __init__(self, rules: CompositionRules, tables: CompositionTables) -> None:
        self.tables = tables
        self.device = tables.start.device
        numbers = rules.is_required().nonzero().squeeze(1)
        self.required_numbers = numbers[: len(numbers) if len(numbers) <= MOST_REQUIRED else 0].to(
            self.device
        )

    @property
    def some_two(self) -> Tensor:
        """(S, N + 1, W') see the module."""
        return self._two_more[0]

    @property
    def any_two(self) -> Tensor:
        """(S, N + 1, W') see the module."""
        return self._two_more[1]

    @cached_property
    def required(self) -> Tensor:
        """(2 ** r, S, N + 1, W'); bit i of the first index says that the i-th required element is missing."""
        tables, r = self.tables, len(self.required_numbers)
        atoms = torch.arange(tables.most_atoms + 1, device=self.device)
        whole = (atoms >= tables.least_atoms).long()[None, :, None]
        nothing = (whole * tables.start).repeat(len(tables.transition), 1, 1)
        nothing[IMPOSSIBLE] = 0
        supply = nothing.new_zeros(2**r, *nothing.shape)
        supply[0] = nothing
        adding = ChargeKernels(tables.member.flatten(0, 1).flip(1).cpu()).to(self.device)
        for size in range(1, r + 1):
            for members in combinations(range(r), size):
                code = sum(1 << member for member in members)
                # the order of the elements does not matter, so one of them may come first
                later = supply[code ^ (1 << members[0])]
                supply[code] = self._preceded(later, int(self.required_numbers[members[0]]), adding)
        return supply

    def _preceded(self, later: Tensor, element: int, adding: ChargeKernels) -> Tensor:
        """What an element in any allowed count and then ``later`` supply, (S, N + 1, W')."""
        tables, charge_words = self.tables, self.tables.n_charge_words
        kind = tables.class_of[element]
        supply = torch.zeros_like(later)
        for count in tables.allowed_by_count[:, element].nonzero().squeeze(1).tolist():
            after = later[tables.transition[:, count]][:, count:]
            state, atoms = after.any(dim=-1).nonzero().unbind(dim=1)
            words = after[state, atoms]
            kernel = (kind * (tables.n_counts + 1) + count).expand(len(words))
            charges = adding.subtract(words[:, :charge_words], kernel)
            metal = words[:, charge_words:] & tables.metal_word[kind]
            supply[state, atoms] |= torch.cat([charges, metal], dim=1)
        return supply

    @cached_property
    def _two_more(self) -> tuple[Tensor, Tensor]:
        """``some_two`` and ``any_two``, a few Wyckoff states at a time."""
        parts = [
            self._two_from(states) for states in torch.arange(len(self.tables.transition)).split(_STATES)
        ]
        some, every = zip(*parts, strict=True)
        return torch.cat(some), torch.cat(every)

    def _two_from(self, states: Tensor) -> tuple[Tensor, Tensor]:
        tables = self.tables
        atoms = torch.arange(tables.most_atoms + 1, device=self.device)
        words = tables.completing.shape[1]
        by_class = torch.zeros(
            2, words, len(states), len(atoms), tables.n_classes, dtype=torch.int64, device=self.device
        )
        for count in range(1, tables.n_counts + 1):
            after = tables.transition[states.to(self.device), count]
            possible = (after != IMPOSSIBLE)[:, None] & (atoms + count <= tables.most_atoms)
            state, total = possible.nonzero().unbind(dim=1)
            offer = tables.offer(after[state], total + count)
            by_class[:, :, state, total] |= tables.completing[:, :, offer, count]
        some = torch.zeros_like(by_class[0, ..., 0])
        for number in range(tables.n_classes):
            some |= by_class[0, ..., number]
        sets = by_class[1].movedim(0, -1)
        bits = torch.cat(
            [
                unpack(sets[..., : tables.n_charge_words], tables.radius),
                sets[..., tables.n_charge_words :].bool(),
            ],
            dim=-1,
        )
        suppliers = torch.einsum("sacq,c->saq", bits.float(), tables.class_size.float())
        return some.movedim(0, -1), tables.packed(suppliers >= tables.most_elements)
