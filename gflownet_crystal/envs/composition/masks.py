"""Ways to the composition's masks: by look-ahead in any space, by a table or list of all compositions in small ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.rows import rows_by_number
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.envs.composition.children import extensions, first_elements
from gflownet_crystal.envs.composition.listed_masks import ListedMasks
from gflownet_crystal.envs.composition.lookahead import LookAhead
from gflownet_crystal.envs.composition.mask_contract import CompositionMasks
from gflownet_crystal.envs.composition.partial import partial_of
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.subsets import reached_subsets
from gflownet_crystal.envs.composition.tables import CompositionTables


class LookAheadMasks(CompositionMasks):
    """Masks from the look-ahead predicate, see :mod:`composition_lookahead`.

    A composition is left out if every order of its elements passes a state that nothing within the look-ahead
    closes; in spaces with many elements that is rare.

    Args:
        rules: the constraints.
        groups: space groups that matter; in those that one more element never closes, the look-ahead deepens until
            something does or the number of elements is exhausted.
    """

    def __init__(self, rules: CompositionRules, groups: Sequence[int]) -> None:
        self.look = LookAhead(rules, CompositionTables(rules))
        self.most_elements, self.n_counts = rules.most_elements, rules.max_count
        self.base_depth = torch.ones(N_SPACE_GROUPS + 1, dtype=torch.int64)
        self.first = first_elements(self.look, self.base_depth)
        wanted = torch.zeros(N_SPACE_GROUPS + 1, dtype=torch.bool)
        wanted[list(groups)] = True
        may_be_deep = self.look.may_be_deep
        for depth in range(2, rules.most_elements):
            empty = wanted & ~self.fillable
            if not bool(empty.any()):
                break
            self.look.may_be_deep = True
            base_depth = self.base_depth.masked_fill(empty, depth)
            deeper = first_elements(self.look, base_depth)
            gained = empty & deeper.any(dim=(1, 2))
            self.base_depth = self.base_depth.masked_fill(gained, depth)
            self.first = torch.where(gained[:, None, None], deeper, self.first)
        self.look.may_be_deep = may_be_deep or bool((self.base_depth > 1).any())

    def forward(self, counts: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        partial = partial_of(self.look.tables, group, self.base_depth, counts)
        return extensions(self.look, partial), self.look.closed(partial)

    def removable(self, counts: Tensor, group: Tensor) -> Tensor:
        present = counts > 0
        # the only parent of a single element is the source
        removable = present.clone()
        for m, rows in rows_by_number(present.sum(dim=1), self.most_elements):
            if m > 1:
                elements, reached = self._subsets(m, counts[rows], group[rows])
                rest = 2**m - 1 - 2 ** torch.arange(m, device=counts.device)
                removable[rows] = torch.zeros_like(present[rows]).scatter(1, elements, reached[:, rest])
        return removable

    def reached(self, counts: Tensor, group: Tensor) -> Tensor:
        size, most = (counts > 0).sum(dim=1), self.most_elements
        allowed = self.look.allowed.gather(1, counts.clamp(0, self.n_counts).T).T & (counts <= self.n_counts)
        sensible = (allowed | (counts == 0)).all(dim=1) & (size <= most)
        result = torch.zeros_like(sensible)
        for m, rows in rows_by_number(size.masked_fill(~sensible, 0), most):
            if m > 0:
                whole = self._subsets(m, counts[rows], group[rows])[1][:, -1]
                partial = partial_of(self.look.tables, group[rows], self.base_depth, counts[rows])
                result[rows] = whole & self.look.closed(partial)
        return result

    def _subsets(self, m: int, counts: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        return reached_subsets(self.look, self.first, self.base_depth, m, group, counts)


class TableMasks(CompositionMasks):
    """Masks from a table of every composition: exact, for spaces with few of them.

    Args:
        rules: the constraints.
        groups: space groups that matter; in others nothing is allowed.
    """

    def __init__(self, rules: CompositionRules, groups: Sequence[int]) -> None:
        look = LookAhead(rules, CompositionTables(rules))
        self.base = rules.max_count + 1
        self.place = self.base ** torch.arange(rules.n_vocabulary)
        wanted = torch.tensor(sorted(set(groups)))
        initial, kind = torch.unique(look.tables.initial[wanted], return_inverse=True)
        # one row more for groups that do not matter
        self.kind_of = torch.full((N_SPACE_GROUPS + 1,), len(initial)).index_put((wanted,), kind)
        example = torch.zeros(len(initial), dtype=torch.int64).scatter(0, kind, wanted)
        self.whole = torch.zeros(len(initial) + 1, self.base**rules.n_vocabulary, dtype=torch.bool)
        index, counts = self._candidates(look, rules)
        base_depth = torch.ones(N_SPACE_GROUPS + 1, dtype=torch.int64)
        for row, group in enumerate(example):
            here = partial_of(look.tables, group.expand(len(counts)), base_depth, counts)
            self.whole[row, index] = look.closed(here)
        self.part = self._parts_of_wholes(rules.n_vocabulary)
        step = torch.arange(1, self.base) * self.place[:, None]
        self.step = step
        self.first = self.part[self.kind_of][:, step]

    @staticmethod
    def affordable(rules: CompositionRules, groups: Sequence[int]) -> bool:
        """Whether the table is small enough to be made in about a second."""
        return len(set(groups)) * (rules.max_count + 1) ** rules.n_vocabulary <= _LARGEST_TABLE

    def _candidates(self, look: LookAhead, rules: CompositionRules) -> tuple[Tensor, Tensor]:
        """Numbers and counts of the compositions within the ranges of counts, elements and atoms."""
        index = torch.arange(1, self.base**rules.n_vocabulary)
        counts = index[:, None] // self.place % self.base
        allowed = (look.allowed.gather(1, counts.T).T | (counts == 0)).all(dim=1)
        few = ((counts > 0).sum(dim=1) <= rules.most_elements) & (counts.sum(dim=1) <= rules.n_atoms[1])
        return index[allowed & few], counts[allowed & few]

    def _parts_of_wholes(self, n_vocabulary: int) -> Tensor:
        """(kinds, compositions) bool; those that some further elements complete."""
        part = self.whole.clone()
        for element in range(n_vocabulary):
            # views: digits before the element's, its digit, digits after it
            digits = part.view(len(part), -1, self.base, int(self.place[element]))
            digits[:, :, 0] |= digits[:, :, 1:].any(dim=2)
        return part

    def forward(self, counts: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        kind, index, absent = self.kind_of[group], counts @ self.place, (counts == 0)[..., None]
        child = index[:, None, None] + self.step * absent
        return self.part[kind[:, None, None], child] & absent, self.whole[kind, index]

    def removable(self, counts: Tensor, group: Tensor) -> Tensor:
        # a part of a composition that can be completed can be completed too
        return counts > 0

    def reached(self, counts: Tensor, group: Tensor) -> Tensor:
        within = (counts < self.base).all(dim=1)
        return within & self.whole[self.kind_of[group], counts.clamp(max=self.base - 1) @ self.place]


_LARGEST_TABLE = 2_000_000


def composition_masks(rules: CompositionRules, groups: Sequence[int]) -> CompositionMasks:
    """The list of formulas where some are given, the table where it is affordable, else the look-ahead."""
    if rules.formulas:
        return ListedMasks(rules, groups)
    return (TableMasks if TableMasks.affordable(rules, groups) else LookAheadMasks)(rules, groups)
