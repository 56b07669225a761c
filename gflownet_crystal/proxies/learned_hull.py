"""An estimated convex hull: formation energy of the most stable mixture of phases at a composition.

A network gives the lowest formation energy that a compound of a composition can have. The hull at a composition is the
best mixture (a small linear program) of the elements, at zero, of compounds of its elements at simple stoichiometries,
and of the composition itself.
"""

from __future__ import annotations

from itertools import combinations, product
from math import gcd
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gflownet_crystal.models.spec_energy.features import composition_features
from gflownet_crystal.models.spec_energy.network import EnergyEnsemble
from gflownet_crystal.proxies.hull import Hull, by_number_of_elements, checked_composition
from gflownet_crystal.proxies.hull_program import lowest_mixture
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.weights import fitting_tensors, load_weights

KIND = "learned_hull"
LARGEST_BINARY_COUNT = 6
LARGEST_TERNARY_SUM = 6
_SYSTEMS_AT_A_TIME = 256


def _stoichiometries(n_elements: int) -> Tensor:
    """Coprime counts (m, n_elements) of the compounds that a chemical system is searched for."""
    top = LARGEST_BINARY_COUNT if n_elements == 2 else LARGEST_TERNARY_SUM
    rows = [
        counts
        for counts in product(range(1, top + 1), repeat=n_elements)
        if gcd(*counts) == 1 and (n_elements == 2 or sum(counts) <= LARGEST_TERNARY_SUM)
    ]
    return torch.tensor(rows)


class SubsystemEnergies:
    """Entry energies of chemical systems of two or three elements, computed once each.

    Args:
        hull: whose network gives the energies.
        n_elements: 2 or 3.
    """

    def __init__(self, hull: LearnedHull, n_elements: int) -> None:
        self.hull, self.counts = hull, _stoichiometries(n_elements)
        self.keys = torch.zeros(0, dtype=torch.int64)
        self.values = torch.zeros(0, len(self.counts), dtype=torch.float64)

    def __call__(self, elements: Tensor) -> Tensor:
        """Energies (n, m) eV/atom of the systems ``elements`` (n, n_elements), ascending atomic numbers."""
        base = N_ATOMIC_NUMBERS ** torch.arange(elements.shape[1])
        wanted = (elements * base).sum(1)
        missing = torch.unique(wanted[~torch.isin(wanted, self.keys)])
        if len(missing):
            self._add(missing, (missing[:, None] // base) % N_ATOMIC_NUMBERS)
        return self.values[torch.searchsorted(self.keys, wanted)]

    def _add(self, keys: Tensor, elements: Tensor) -> None:
        values = torch.cat([self._energies(chunk) for chunk in elements.split(_SYSTEMS_AT_A_TIME)])
        order = torch.argsort(torch.cat([self.keys, keys]))
        self.keys = torch.cat([self.keys, keys])[order]
        self.values = torch.cat([self.values, values])[order]

    def _energies(self, elements: Tensor) -> Tensor:
        n, m = len(elements), len(self.counts)
        composition = torch.zeros(n, m, N_ATOMIC_NUMBERS, dtype=torch.int64)
        composition.scatter_(2, elements[:, None, :].expand(-1, m, -1), self.counts.expand(n, -1, -1))
        return self.hull.compound_energy(composition.view(n * m, -1)).view(n, m)


class LearnedHull(Hull):
    """Hull energies from learned compound energies.

    Args:
        network: whose composition head predicts the lowest formation energy at a composition.
        entry_shift: eV/atom added to the energies of enumerated compounds: the lowest of many predictions is too low,
            by an amount fitted on held-out data.
        batch_size: compositions evaluated at a time.
    """

    def __init__(self, network: EnergyEnsemble, entry_shift: float = 0.0, batch_size: int = 4096) -> None:
        self.network, self.entry_shift, self.batch_size = network, entry_shift, batch_size
        self.pairs, self.triples = SubsystemEnergies(self, 2), SubsystemEnergies(self, 3)

    @classmethod
    def from_weights(cls, weights: str | Path = "hull") -> Self:
        """The shipped hull, or one from a ``.safetensors`` file with its card.

        Raises:
            WeightsError: missing, corrupt, or of another kind.
        """
        return cls.of(*load_weights(weights, KIND))

    @classmethod
    def of(cls, tensors: dict[str, Tensor], card: dict[str, Any]) -> Self:
        """A hull from tensors in memory.

        Raises:
            WeightsError: the tensors do not fit the card's network.
        """
        with fitting_tensors(tensors, "the hull"):
            network = EnergyEnsemble(**card["network"])
            network.load_state_dict(tensors)
            return cls(network.eval(), float(card["entry_shift"]))

    @torch.no_grad()
    def compound_energy(self, composition: Tensor) -> Tensor:
        """Lowest formation energy (n,) float64, eV/atom, of a compound of ``composition`` (n, 119); elements at 0."""
        reduced = reduce_composition(composition)
        group = torch.ones(len(reduced), dtype=torch.int64)
        parts = [
            self.network.encode(
                composition_features(
                    reduced[start : start + self.batch_size], group[start : start + self.batch_size]
                )
            ).energy.mean(0)
            for start in range(0, len(reduced), self.batch_size)
        ]
        energy = torch.cat(parts).double() if parts else torch.zeros(0, dtype=torch.float64)
        return torch.where((reduced > 0).sum(1) == 1, 0.0, energy)

    def hull_energy(self, composition: Tensor) -> Tensor:
        """Energy (n,) float64 of the hull at ``composition`` (n, 119) int64, eV/atom, at most 0.

        Raises:
            ProxyError: a composition is empty, has an unknown element or more than 8 elements.
        """
        composition = checked_composition(composition)
        own = self.compound_energy(composition).clamp(max=0.0)
        result = torch.zeros_like(own)
        for rows, elements, fractions in by_number_of_elements(composition):
            result[rows] = self._mixture(elements, fractions, own[rows])
        return result

    def _mixture(self, elements: Tensor, fractions: Tensor, own: Tensor) -> Tensor:
        k = elements.shape[1]
        points, energies = [], []
        for size, table in ((2, self.pairs), (3, self.triples)):
            for chosen in combinations(range(k), size):
                local = torch.zeros(len(table.counts), k, dtype=torch.float64)
                local[:, list(chosen)] = (table.counts / table.counts.sum(1, keepdim=True)).double()
                points.append(local)
                energies.append(table(elements[:, list(chosen)]) + self.entry_shift)
        if not points:
            return torch.minimum(own, torch.zeros_like(own))
        mixture = lowest_mixture(fractions, torch.cat(points), torch.cat(energies, dim=1))
        return torch.minimum(own, mixture)
