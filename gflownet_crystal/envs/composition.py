"""The composition stage: elements with their counts, in any order, under charge and Wyckoff constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.envs.base import Action, Context, DiscreteActions, Stage, State
from gflownet_crystal.envs.composition_lookahead import LookAhead
from gflownet_crystal.envs.composition_masks import extensions, first_elements, reached_subsets
from gflownet_crystal.envs.composition_partial import partial_of
from gflownet_crystal.envs.composition_rules import CompositionRules
from gflownet_crystal.envs.composition_tables import CompositionTables
from gflownet_crystal.envs.space_group import SpaceGroupState


@dataclass(frozen=True)
class CompositionState(TensorBatch):
    """n compositions on their way.

    Attributes:
        counts: (n, E) int64 atoms of each element of the vocabulary in the conventional cell.
        stopped: (n,) bool.
    """

    counts: Tensor
    stopped: Tensor


class CompositionStage(Stage):
    """Adds an element with its count at each step, then stops.

    Forward action ``element * K + (count - 1)`` adds, ``E * K`` stops; backward action ``element`` removes, ``E`` undoes
    the stop. The context's first state is the space group.

    Args:
        rules: the constraints.

    Attributes:
        first: (231, E * K) bool, allowed first actions by space group; all False where nothing fits.
        base_depth: (231,) int64, look-ahead by group.
    """

    name = "composition"

    def __init__(self, rules: CompositionRules) -> None:
        self.rules = rules
        self.n_vocabulary, self.n_counts = rules.n_vocabulary, rules.max_count
        self.forward_actions = DiscreteActions(self.n_vocabulary * self.n_counts + 1)
        self.backward_actions = DiscreteActions(self.n_vocabulary + 1)
        self.max_transitions = rules.n_elements[1] + 1
        self.n_features = 3 * self.n_vocabulary + 3
        self.n_summary = 2 * self.n_vocabulary + 2
        self.look = LookAhead(rules, CompositionTables(rules))
        self.base_depth = torch.ones(N_SPACE_GROUPS + 1, dtype=torch.int64)
        self.first = first_elements(self.look, self.base_depth)
        self._deepen()

    def to(self, device: torch.device | str) -> CompositionStage:
        """Move the tables to ``device`` and return self."""
        self.look = self.look.to(device)
        self.base_depth, self.first = self.base_depth.to(device), self.first.to(device)
        return self

    @property
    def fillable(self) -> Tensor:
        """(231,) bool: space groups that some composition fits."""
        return self.first.any(dim=(1, 2))

    def source(self, context: Context) -> CompositionState:
        counts = torch.zeros(context.n, self.n_vocabulary, dtype=torch.int64, device=context.device)
        return CompositionState(counts, torch.zeros(context.n, dtype=torch.bool, device=context.device))

    def finished(self, state: State) -> Tensor:
        return cast(CompositionState, state).stopped

    def at_source(self, state: State) -> Tensor:
        return ~(cast(CompositionState, state).counts > 0).any(dim=1)

    def forward_support(self, state: State, context: Context) -> Tensor:
        at, group = cast(CompositionState, state), _group(context)
        adding = self.first[group].flatten(1)
        closed = torch.zeros_like(at.stopped)
        rows = (at.counts > 0).any(dim=1).nonzero().squeeze(1)
        if len(rows):
            partial = partial_of(self.look.tables, group[rows], self.base_depth, at.counts[rows])
            adding = adding.index_put((rows,), extensions(self.look, partial).flatten(1))
            closed = closed.index_put((rows,), self.look.closed(partial))
        return torch.cat([adding, closed[:, None]], dim=1)

    def backward_support(self, state: State, context: Context) -> Tensor:
        at, group = cast(CompositionState, state), _group(context)
        present = at.counts > 0
        support = torch.cat([present & ~at.stopped[:, None], at.stopped[:, None]], dim=1)
        size = present.sum(dim=1).masked_fill(at.stopped, 0)
        # the only parent of a single element is the source
        for m in range(2, self.rules.most_elements + 1):
            rows = (size == m).nonzero().squeeze(1)
            if len(rows):
                support[rows] = self._removable(at.counts[rows], group[rows], m)
        return support

    def _removable(self, counts: Tensor, group: Tensor, m: int) -> Tensor:
        """(n, E + 1) bool: elements whose removal leaves a reached composition; all rows have m elements."""
        elements, reached = reached_subsets(self.look, self.first, self.base_depth, group, counts)
        rest = 2**m - 1 - 2 ** torch.arange(m, device=counts.device)
        support = torch.zeros(len(counts), self.n_vocabulary + 1, dtype=torch.bool, device=counts.device)
        return support.scatter(1, elements, reached[:, rest])

    def reached(self, counts: Tensor, group: Tensor) -> Tensor:
        """Whether compositions (n, E) are closed and reached from the source in their space groups, (n,) bool."""
        n_present = (counts > 0).sum(dim=1)
        in_range = (n_present >= 1) & (n_present <= self.rules.most_elements) & (counts <= self.n_counts).all(dim=1)
        allowed = self.look.allowed.gather(1, counts.clamp(0, self.n_counts).T).T | (counts == 0)
        in_range &= allowed.all(dim=1)
        result = torch.zeros_like(in_range)
        for m in range(1, self.rules.most_elements + 1):
            rows = (in_range & (n_present == m)).nonzero().squeeze(1)
            if len(rows):
                _, subsets = reached_subsets(self.look, self.first, self.base_depth, group[rows], counts[rows])
                partial = partial_of(self.look.tables, group[rows], self.base_depth, counts[rows])
                result = result.index_put((rows,), subsets[:, -1] & self.look.closed(partial))
        return result

    def step(self, state: State, action: Action, context: Context) -> CompositionState:
        at, chosen = cast(CompositionState, state), cast(Tensor, action)
        stop = chosen == self.n_vocabulary * self.n_counts
        element = (chosen // self.n_counts).clamp(max=self.n_vocabulary - 1)
        count = (chosen % self.n_counts + 1).masked_fill(stop, 0)
        return CompositionState(at.counts.scatter_add(1, element[:, None], count[:, None]), stop)

    def step_back(self, state: State, action: Action, context: Context) -> CompositionState:
        at, chosen = cast(CompositionState, state), cast(Tensor, action)
        removed = torch.nn.functional.one_hot(chosen, self.n_vocabulary + 1)[:, :-1].bool()
        return CompositionState(at.counts.masked_fill(removed, 0), torch.zeros_like(at.stopped))

    def backward_action(self, parent: State, child: State, context: Context) -> Tensor:
        before, after = cast(CompositionState, parent), cast(CompositionState, child)
        element = (after.counts - before.counts).argmax(dim=1)
        return torch.where(after.stopped, self.n_vocabulary, element)

    def forward_action(self, parent: State, child: State, context: Context) -> Tensor:
        before, after = cast(CompositionState, parent), cast(CompositionState, child)
        count, element = (after.counts - before.counts).max(dim=1)
        return torch.where(after.stopped, self.n_vocabulary * self.n_counts, element * self.n_counts + count - 1)

    def features(self, state: State) -> Tensor:
        """Counts over K, their logarithms and presence by element; atoms, elements and whether stopped."""
        at = cast(CompositionState, state)
        counts = at.counts.float()
        atoms = counts.sum(dim=1, keepdim=True) / self.rules.n_atoms[1]
        present = (at.counts > 0).float()
        elements = present.sum(dim=1, keepdim=True) / self.rules.n_elements[1]
        parts = [counts / self.n_counts, torch.log1p(counts), present, atoms, elements, at.stopped[:, None].float()]
        return torch.cat(parts, dim=1)

    def summary(self, state: State) -> Tensor:
        """Fractions and presence by element; log of the atoms over their maximum, elements over theirs."""
        counts = cast(CompositionState, state).counts.float()
        atoms = counts.sum(dim=1, keepdim=True).clamp(min=1.0)
        present = (counts > 0).float()
        elements = present.sum(dim=1, keepdim=True) / self.rules.n_elements[1]
        return torch.cat([counts / atoms, present, (atoms / self.rules.n_atoms[1]).log(), elements], dim=1)

    def _deepen(self) -> None:
        """Search groups that one more element never closes as deep as the number of elements allows."""
        for depth in range(2, self.rules.most_elements):
            empty = ~self.fillable
            empty[0] = False
            if not bool(empty.any()):
                break
            base_depth = self.base_depth.masked_fill(empty, depth)
            deeper = first_elements(self.look, base_depth)
            gained = empty & deeper.any(dim=(1, 2))
            self.base_depth = self.base_depth.masked_fill(gained, depth)
            self.first = torch.where(gained[:, None, None], deeper, self.first)
        self.look.may_be_deep |= bool((self.base_depth > 1).any())


def _group(context: Context) -> Tensor:
    return cast(SpaceGroupState, context.states[0]).group
