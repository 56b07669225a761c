"""Bounds on the charges that several further elements can supply: a cheap refusal before a deep search."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.crystallography.occupation import IMPOSSIBLE
from gflownet_crystal.envs.composition.charge_sets import pack


class SupplyBounds(MovedToDevice):
    """Lowest and highest total charge of exactly ``steps`` further elements, whichever they are.

    Elements may repeat here, so the bounds are loose: they refuse, never accept.

    Args:
        transition: (S, K + 1) int64 Wyckoff automaton.
        member: (C, K + 1, 2 * radius + 1) bool charges of each class and count.
        allowed: (C, K + 1) bool counts that each class may have.
        n_atoms: minimum and maximum number of atoms of a whole.
    """

    def __init__(self, transition: Tensor, member: Tensor, allowed: Tensor, n_atoms: Sequence[int]) -> None:
        self.radius = (member.shape[-1] - 1) // 2
        charge = torch.arange(-self.radius, self.radius + 1)
        # the bounds hold 0 too, so that elements whose charges do not matter (metals among metals) have some
        usable = member.any(dim=0) | (allowed.any(dim=0)[:, None] & (charge == 0))
        far = torch.iinfo(torch.int64).max // 4
        self.highest = torch.where(usable, charge, -far).amax(dim=-1)
        self.lowest = torch.where(usable, charge, far).amin(dim=-1)
        self.transition, self.least_atoms, self.most_atoms = transition, *n_atoms
        self._far = far
        states = len(transition)
        whole = torch.arange(self.most_atoms + 1) >= self.least_atoms
        start = torch.where(whole, 0, -far).expand(states, -1).clone()
        start[IMPOSSIBLE] = -far
        # by number of further elements: (S, N + 1) tables of the highest and the negated lowest total
        self._tables = [(start, start)]
        self._up_to = pack(charge <= charge[:, None])

    def to(self, device: torch.device | str) -> SupplyBounds:
        """Move the tables to ``device`` and return self."""
        self.highest, self.lowest = self.highest.to(device), self.lowest.to(device)
        self.transition, self._up_to = self.transition.to(device), self._up_to.to(device)
        self._tables = [(high.to(device), low.to(device)) for high, low in self._tables]
        return self

    def between(self, occupation: Tensor, n_atoms: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Charges within the bounds after ``steps`` further elements.

        Args:
            occupation: (n,) int64 automaton states.
            n_atoms: (n,) int64 atoms so far.
            steps: further elements.

        Returns:
            (n, W) int64 sets of charges within the bounds; (n,) bool whether the counts can be had at all.
        """
        while len(self._tables) <= steps:
            self._tables.append(self._next(*self._tables[-1]))
        high, negated_low = (
            table[occupation, n_atoms.clamp(max=self.most_atoms)] for table in self._tables[steps]
        )
        possible = (high > -self._far // 2) & (n_atoms <= self.most_atoms)
        top = (high.clamp(-self.radius, self.radius)) + self.radius
        bottom = ((-negated_low).clamp(-self.radius, self.radius)) + self.radius
        below = self._up_to[(bottom - 1).clamp(min=0)] * (bottom > 0)[:, None]
        return self._up_to[top] & ~below, possible

    def _next(self, high: Tensor, negated_low: Tensor) -> tuple[Tensor, Tensor]:
        """The tables for one element more."""
        most = self.most_atoms
        best_high, best_low = torch.full_like(high, -self._far), torch.full_like(high, -self._far)
        for count in range(1, min(self.transition.shape[1] - 1, most) + 1):
            after = self.transition[:, count]
            atoms = slice(0, most + 1 - count)
            rise, fall = self.highest[count], -self.lowest[count]
            best_high[:, atoms] = torch.maximum(best_high[:, atoms], high[after][:, count:] + rise)
            best_low[:, atoms] = torch.maximum(best_low[:, atoms], negated_low[after][:, count:] + fall)
        return best_high.clamp(min=-self._far), best_low.clamp(min=-self._far)
