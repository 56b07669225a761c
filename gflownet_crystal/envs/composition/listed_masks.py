"""Masks from a list of all compositions: exact, for the compositions of formulas."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.crystallography.occupation import WyckoffOccupation
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.envs.composition.listing import listed_compositions
from gflownet_crystal.envs.composition.mask_contract import CompositionMasks
from gflownet_crystal.envs.composition.rules import CompositionRules

_CHUNK = 4_000_000


class ListedMasks(CompositionMasks):
    """Masks that leave open the parts of listed compositions, so that each action has a witness in the list.

    Args:
        rules: the constraints, with a formula.
        groups: space groups that matter; in others nothing is allowed.

    Attributes:
        wholes: (m, E) int64, the compositions.
        fits: (kinds of groups, m) bool, whether the groups of a kind hold them.

    Raises:
        EmptySpaceError: see :func:`listed_compositions`.
    """

    def __init__(self, rules: CompositionRules, groups: Sequence[int]) -> None:
        self.wholes = listed_compositions(rules)
        self.sizes = (self.wholes > 0).sum(dim=1)
        self.most_elements, self.n_counts = int(self.sizes.max()), rules.max_count
        occupation = WyckoffOccupation(int(self.wholes.max()))
        wanted = torch.tensor(sorted(set(groups)))
        initial, kind = torch.unique(occupation.initial[wanted], return_inverse=True)
        # one row more for groups that do not matter
        self.kind_of = torch.full((N_SPACE_GROUPS + 1,), len(initial)).index_put((wanted,), kind)
        example = torch.zeros(len(initial), dtype=torch.int64).scatter(0, kind, wanted)
        self.elements, self.counts = self._by_place()
        fits = [occupation.fits(group.expand(len(self.counts)), self.counts) for group in example]
        self.fits = torch.stack([*fits, torch.zeros_like(fits[0])])
        row, whole = self.fits.nonzero().unbind(dim=1)
        opened = self._opened(len(self.fits), row, whole)
        self.first = opened[self.kind_of]

    def forward(self, counts: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        allowed = torch.zeros(*counts.shape, self.n_counts, dtype=torch.bool, device=counts.device)
        closed = torch.zeros(len(counts), dtype=torch.bool, device=counts.device)
        for rows in self._parts(len(counts)):
            some = counts[rows]
            held = self._containing(some, group[rows])
            row, whole = held.nonzero().unbind(dim=1)
            allowed[rows] = self._opened(len(rows), row, whole) & (some == 0)[..., None]
            closed[rows] = (held & (self.sizes == (some > 0).sum(dim=1)[:, None])).any(dim=1)
        return allowed, closed

    def removable(self, counts: Tensor, group: Tensor) -> Tensor:
        # a part of a part of a listed composition is a part of it too
        return counts > 0

    def reached(self, counts: Tensor, group: Tensor) -> Tensor:
        found = torch.zeros(len(counts), dtype=torch.bool, device=counts.device)
        size = (counts > 0).sum(dim=1)
        few = ((size > 0) & (size <= self.most_elements)).nonzero().squeeze(1)
        for rows in self._parts(len(few)):
            own = few[rows]
            held = self._containing(counts[own], group[own])
            found[own] = (held & (self.sizes == size[own, None])).any(dim=1)
        return found

    def _parts(self, n: int) -> tuple[Tensor, ...]:
        """Chunks of rows that are compared with the list at once."""
        return torch.arange(n, device=self.wholes.device).split(max(1, _CHUNK // len(self.wholes)))

    def _by_place(self) -> tuple[Tensor, Tensor]:
        """(m, most elements) elements of each composition and their counts, 0 past the last."""
        elements = (
            (self.wholes > 0).long().argsort(dim=1, descending=True, stable=True)[:, : self.most_elements]
        )
        return elements, self.wholes.gather(1, elements)

    def _containing(self, counts: Tensor, group: Tensor) -> Tensor:
        """(n, m) bool: listed compositions of the group with these atoms (n, E) of the elements present."""
        held = self.fits[self.kind_of[group]]
        present = (counts > 0).long().argsort(dim=1, descending=True, stable=True)[:, : self.most_elements]
        for element in present.unbind(dim=1):
            count = counts.gather(1, element[:, None])
            held = held & ((self.wholes.T[element] == count) | (count == 0))
        return held

    def _opened(self, n: int, row: Tensor, whole: Tensor) -> Tensor:
        """(n, E, K) bool: elements with their counts of the compositions ``whole`` of each ``row``."""
        opened = torch.zeros(n, self.wholes.shape[1], self.n_counts, dtype=torch.bool, device=row.device)
        true = torch.ones((), dtype=torch.bool, device=row.device)
        for element, count in zip(self.elements.T, self.counts.T, strict=True):
            there = count[whole] > 0
            rows, wholes = row[there], whole[there]
            opened.index_put_((rows, element[wholes], count[wholes] - 1), true)
        return opened
