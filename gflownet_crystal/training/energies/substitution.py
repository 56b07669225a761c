"""Crystals with an element exchanged for one that takes its place in known crystals.

How often an element stands in for another is counted in the data: two crystals of one space group whose compositions
differ in one element only are one exchange (in the spirit of Hautier et al. 2011, "Data mined ionic substitutions for
the discovery of new compounds"). Cells are scaled with the volumes of the elements, so that a crystal keeps its volume
relative to the reference volume of its composition.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.envs.lattice.reference_volume import elemental_volumes
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch

_SECOND = 0.3
"""Probability of a second exchange in the same crystal."""


class Substitution:
    """Exchanges of elements with the probabilities found in known crystals.

    Args:
        specs: n known crystals.

    Attributes:
        probability: (119, 119) float64; row a holds the probabilities of the elements that take the place of a; zero
            where none is known.
    """

    def __init__(self, specs: CrystalSpec) -> None:
        counts = _exchanges(specs)
        self.probability = counts / counts.sum(dim=1, keepdim=True).clamp(min=1e-9)
        self.volumes = elemental_volumes()

    def __call__(self, specs: CrystalSpec, generator: torch.Generator) -> CrystalSpec:
        """Exchange one element, or two, of each of n crystals; those where none is known stay as they are.

        Args:
            specs: n crystals, on the CPU.
            generator: source of randomness, on the CPU.
        """
        composition = self._exchange(specs.composition, generator)[0]
        second = torch.rand(len(specs), 1, generator=generator) < _SECOND
        composition = torch.where(second, self._exchange(composition, generator)[0], composition)
        lengths = specs.lengths * self._stretch(specs.composition, composition)[:, None]
        return CrystalSpec(specs.space_group, composition, lengths, specs.angles)

    def in_structures(self, structures: StructureBatch, generator: torch.Generator) -> StructureBatch:
        """Exchange one element of each of n crystals in all its places; those where none is known stay as they are.

        Args:
            structures: n crystals, on the CPU.
            generator: source of randomness, on the CPU.
        """
        before = structures.composition
        after, leaving, entering = self._exchange(before, generator)
        numbers, index = structures.atomic_numbers, structures.structure_index
        numbers = torch.where(numbers == leaving[index], entering[index], numbers)
        cell = structures.cell * self._stretch(before, after)[:, None, None]
        return replace(structures, cell=cell, atomic_numbers=numbers)

    def _stretch(self, before: Tensor, after: Tensor) -> Tensor:
        """Factors (n,) of the lengths that keep the volume relative to that of the elements."""
        old, new = (composition.double() @ self.volumes for composition in (before, after))
        return (new / old) ** (1.0 / 3.0)

    def _exchange(self, composition: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 119) compositions after one exchange each, and the elements (n,) that leave and that enter."""
        present = composition > 0
        leaving = torch.multinomial(present.double(), 1, generator=generator)
        weights = self.probability[leaving.squeeze(1)].masked_fill(present, 0.0)
        known = weights.sum(dim=1, keepdim=True) > 0.0
        # rows without a choice draw anything and are put back
        entering = torch.multinomial(torch.where(known, weights, 1.0), 1, generator=generator)
        entering = torch.where(known, entering, leaving)
        count = composition.gather(1, leaving)
        exchanged = composition.scatter(1, leaving, 0).scatter(1, entering, count)
        return exchanged, leaving.squeeze(1), entering.squeeze(1)


def _exchanges(specs: CrystalSpec) -> Tensor:
    """(119, 119) float64 symmetric counts; a slot that m elements fill gives each pair of them 1 / sqrt(m - 1)."""
    slots: dict[tuple[object, ...], set[int]] = defaultdict(set)
    for group, row in zip(specs.space_group.tolist(), specs.composition, strict=True):
        numbers = row.nonzero().squeeze(1).tolist()
        filled = [(number, int(row[number])) for number in numbers]
        if len(filled) < 2:
            continue
        for number, count in filled:
            rest = tuple(pair for pair in filled if pair[0] != number)
            slots[group, count, rest].add(number)
    counts = torch.zeros(N_ATOMIC_NUMBERS, N_ATOMIC_NUMBERS, dtype=torch.float64)
    for elements in slots.values():
        if len(elements) > 1:
            chosen = torch.tensor(sorted(elements))
            counts[chosen[:, None], chosen] += 1.0 / (len(elements) - 1) ** 0.5
    return counts.fill_diagonal_(0.0)
