"""Tables for looking further than one element ahead: they settle nearly every question that would need a search.

* in spaces of few kinds of elements, the exact supply of every choice of further elements;
* the supply of the required elements still missing and any r others - a refusal where it does not help;
* their supply with r others for every earlier choice - a certificate where it helps, and exact for r = 0.

They are made when first needed.
"""

from __future__ import annotations

from itertools import islice, product

import torch
from torch import Tensor

from gflownet_crystal.envs.composition.charge_sets import meets
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.supply import Supply, no_more, one_more, preceded, preceded_by_any
from gflownet_crystal.envs.composition.tables import CompositionTables

MOST_CHOICES = 512
"""With more choices of further elements than this, by their classes, they are not listed and a search decides."""


class DeepTables:
    """The tables above.

    Args:
        rules: the constraints.
        tables: those of one element.

    Attributes:
        choices: (q, C) int64 numbers of further elements of each class, two or more in all; None where too many.
    """

    def __init__(self, rules: CompositionRules, tables: CompositionTables) -> None:
        self.tables = tables
        self.device = tables.start.device
        self._supplies: dict[tuple[tuple[int, ...], int], Supply] = {}
        self.choices = self._choices(rules.most_elements - 1)

    def further(
        self, steps: int, missing: Tensor, occupation: Tensor, n_atoms: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Charges that ``steps`` further elements supply, among them the required ones that are missing.

        Args:
            steps: further elements.
            missing: (n, E) bool, required elements not chosen yet.
            occupation: (n,) int64 Wyckoff states.
            n_atoms: (n,) int64.

        Returns:
            Two (n, W') sets: of some elements, where those that are not required may repeat; of elements that can be
            found whatever was chosen before. Empty where more are missing than ``steps``.
        """
        by_class, which = torch.unique(self.by_class(missing), dim=0, return_inverse=True)
        some, every = self.tables.start.new_zeros(2, len(missing), len(self.tables.start))
        for index, numbers in enumerate(by_class.tolist()):
            if sum(numbers) <= steps:
                rows = (which == index).nonzero().squeeze(1)
                supply = self._supply(tuple(numbers), steps - sum(numbers))
                some[rows], every[rows] = supply.of(occupation[rows], n_atoms[rows])
        return some, every

    def required(self, missing: Tensor, occupation: Tensor, n_atoms: Tensor) -> Tensor:
        """(n, W') charges that the required elements ``missing`` (n, E) bool supply together, (n,) states and atoms."""
        steps, found = missing.sum(dim=1), self.tables.start.new_zeros(len(missing), len(self.tables.start))
        for number in range(1, int(steps.max()) + 1 if len(steps) else 1):
            rows = (steps == number).nonzero().squeeze(1)
            found[rows] = self.further(number, missing[rows], occupation[rows], n_atoms[rows])[0]
        return found

    def by_class(self, elements: Tensor) -> Tensor:
        """(n, C) int64 number of ``elements`` (n, E) bool are of each class."""
        numbers = torch.zeros(len(elements), self.tables.n_classes, dtype=torch.int64, device=self.device)
        return numbers.index_add(1, self.tables.class_of, elements.long())

    def closed_by(self, choice: Tensor, demand: Tensor, occupation: Tensor, n_atoms: Tensor) -> Tensor:
        """(n,) bool: whether the elements of ``choice`` (C,) meet the demands."""
        return meets(self._supply(tuple(choice.tolist()), 0).of(occupation, n_atoms)[0], demand)

    def _supply(self, numbers: tuple[int, ...], others: int) -> Supply:
        """Of ``numbers[c]`` further elements of each class c and some others, L = 2; made when first asked for."""
        key = (numbers, others)
        if key not in self._supplies:
            kind = next((index for index, number in enumerate(numbers) if number), None)
            if kind is not None:
                # the order of the elements does not matter, so one of the first class may come first
                fewer = (*numbers[:kind], numbers[kind] - 1, *numbers[kind + 1 :])
                self._supplies[key] = preceded(self.tables, self._supply(fewer, others), kind)
            elif others > 1:
                self._supplies[key] = preceded_by_any(self.tables, self._supply(numbers, others - 1))
            else:
                self._supplies[key] = (one_more if others else no_more)(self.tables)
        return self._supplies[key]

    def _choices(self, most: int) -> Tensor | None:
        sizes = self.tables.class_size.clamp(max=max(most, 0)).tolist()
        if sum(size > 0 for size in sizes) >= MOST_CHOICES.bit_length():
            return None
        every = (numbers for numbers in product(*(range(size + 1) for size in sizes)) if sum(numbers) <= most)
        listed = list(islice(every, MOST_CHOICES + 1))
        if len(listed) > MOST_CHOICES:
            return None
        deep = [numbers for numbers in listed if sum(numbers) >= 2]
        return torch.tensor(deep, dtype=torch.int64, device=self.device).view(-1, self.tables.n_classes)
