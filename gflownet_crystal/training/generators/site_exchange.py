"""Equivalent orbits of an element matched to their targets, so that transport distances are least."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.structures.periodic_pairs import expand

_BETTER = 1e-9


@dataclass(frozen=True)
class Exchangeable:
    """Ordered pairs of different orbits of a crystal that have the same element and position.

    Attributes:
        crystal: (O,) int64, of each orbit, not decreasing.
        first: (Q,) int64.
        second: (Q,) int64.
        place: (O,) int64, number of an orbit among those like it.
        most: largest number of equivalent orbits.
    """

    crystal: Tensor
    first: Tensor
    second: Tensor
    place: Tensor
    most: int

    @classmethod
    def of(cls, crystal: Tensor, position: Tensor, atomic_number: Tensor) -> Exchangeable:
        """Find them; equivalent ones need not be adjacent."""
        n_orbits = torch.bincount(crystal)
        first, second = expand((n_orbits.cumsum(0) - n_orbits)[crystal], n_orbits[crystal])
        same = (position[first] == position[second]) & (atomic_number[first] == atomic_number[second])
        first, second = first[same], second[same]
        place = torch.zeros_like(crystal).index_add_(0, first, (second < first).long())
        different = first != second
        return cls(crystal, first[different], second[different], place, int(place.max()) + 1)

    def exchanged(self, costs: Tensor, rounds: int) -> Tensor:
        """A cheap permutation: in each round, every crystal makes the one exchange that gains most.

        Args:
            costs: (O, most), of each orbit taking the target of the one like it at that place.
            rounds: maximum number of rounds.

        Returns:
            (O,) int64, the place whose target each orbit takes.
        """
        taken = self.place
        n_crystals = int(self.crystal[-1]) + 1
        of_pair = self.crystal[self.first]
        for _ in range(rounds):
            own = costs.gather(1, taken[:, None])[:, 0]
            exchanged = costs[self.first, taken[self.second]] + costs[self.second, taken[self.first]]
            both = own[self.first] + own[self.second] - exchanged
            best = both.new_zeros(n_crystals).scatter_reduce(0, of_pair, both, "amax")
            rows = torch.arange(len(both)).where((both >= best[of_pair]) & (both > _BETTER), len(both))
            chosen = torch.full((n_crystals,), len(both)).scatter_reduce(0, of_pair, rows, "amin")
            chosen = chosen[chosen < len(both)]
            if not len(chosen):
                break
            one, two = self.first[chosen], self.second[chosen]
            swapped = taken.clone()
            swapped[one], swapped[two] = taken[two], taken[one]
            taken = swapped
        return taken
