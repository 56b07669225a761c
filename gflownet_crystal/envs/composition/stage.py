"""The composition stage: elements with their counts, in any order, under charge and Wyckoff constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.batch import Rows, TensorBatch
from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.common.rows import computed_where
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.envs.base import Context, DiscreteActions, Stage
from gflownet_crystal.envs.composition.layout import LAYOUT_COUNTS, composition_layout
from gflownet_crystal.envs.composition.masks import composition_masks
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.space_group import SpaceGroupState

_ATOMS, _ELEMENTS = 50.0, 5.0
"""Scales of the numbers of atoms and elements in features, the same in all environments."""


@dataclass(frozen=True)
class CompositionState(TensorBatch):
    """n partly built compositions.

    Attributes:
        counts: (n, E) int64 atoms of each element of the vocabulary in the conventional cell.
        stopped: (n,) bool.
    """

    counts: Tensor
    stopped: Tensor


class CompositionStage(MovedToDevice, Stage[CompositionState, Tensor, Tensor]):
    """Adds an element with its count at each step, then stops.

    Forward action ``element * K + (count - 1)`` adds, ``E * K`` stops; backward action ``element`` removes, ``E``
    undoes the stop. The context's first state is the space group.

    Args:
        rules: the constraints.
        groups: space groups that matter; all 230 if None.
    """

    name = "composition"

    def __init__(self, rules: CompositionRules, groups: Sequence[int] | None = None) -> None:
        self.rules = rules
        self.n_vocabulary, self.n_counts = rules.n_vocabulary, rules.max_count
        self.forward_actions = DiscreteActions(self.n_vocabulary * self.n_counts + 1)
        self.backward_actions = DiscreteActions(self.n_vocabulary + 1)
        self.max_transitions = rules.most_elements + 1
        self.most_counts = max(LAYOUT_COUNTS, self.n_counts)
        self.n_digits = self.most_counts.bit_length()
        self.n_features = (3 + self.n_digits) * self.n_vocabulary + 3
        self.n_summary = 2 * self.n_vocabulary + 2
        self.layout = composition_layout(rules.atomic_numbers, self.n_counts, self.most_counts)
        self.masks = composition_masks(rules, range(1, N_SPACE_GROUPS + 1) if groups is None else groups)

    @property
    def fillable(self) -> Tensor:
        """(231,) bool: space groups that some composition fits."""
        return self.masks.fillable

    def source(self, context: Context) -> CompositionState:
        counts = torch.zeros(context.n, self.n_vocabulary, dtype=torch.int64, device=context.device)
        return CompositionState(counts, torch.zeros(context.n, dtype=torch.bool, device=context.device))

    def finished(self, state: CompositionState) -> Tensor:
        return state.stopped

    def at_source(self, state: CompositionState) -> Tensor:
        return ~(state.counts > 0).any(dim=1)

    def forward_support(self, state: CompositionState, context: Context) -> Tensor:
        group = _group(context)

        def after_the_first(rows: Rows) -> Tensor:
            adding, closed = self.masks.forward(state.counts[rows], group[rows])
            return torch.cat([adding.flatten(1), closed[:, None]], dim=1)

        first = torch.nn.functional.pad(self.masks.first[group].flatten(1), (0, 1))
        return computed_where((state.counts > 0).any(dim=1), first, after_the_first)

    def backward_support(self, state: CompositionState, context: Context) -> Tensor:
        group = _group(context)
        none = torch.zeros_like(state.counts, dtype=torch.bool)
        removable = computed_where(
            ~state.stopped, none, lambda rows: self.masks.removable(state.counts[rows], group[rows])
        )
        return torch.cat([removable, state.stopped[:, None]], dim=1)

    def reached(self, counts: Tensor, group: Tensor) -> Tensor:
        """(n,) bool: compositions (n, E) that are valid wholes and reached from the source in their groups (n,)."""
        return self.masks.reached(counts, group)

    def step(self, state: CompositionState, action: Tensor, context: Context) -> CompositionState:
        stop = action == self.n_vocabulary * self.n_counts
        element = (action // self.n_counts).clamp(max=self.n_vocabulary - 1)
        count = (action % self.n_counts + 1).masked_fill(stop, 0)
        return CompositionState(state.counts.scatter_add(1, element[:, None], count[:, None]), stop)

    def step_back(self, state: CompositionState, action: Tensor, context: Context) -> CompositionState:
        removed = action[:, None] == torch.arange(self.n_vocabulary, device=action.device)
        return CompositionState(state.counts.masked_fill(removed, 0), torch.zeros_like(state.stopped))

    def backward_action(self, parent: CompositionState, child: CompositionState, context: Context) -> Tensor:
        element = (child.counts - parent.counts).argmax(dim=1)
        return torch.where(child.stopped, self.n_vocabulary, element)

    def forward_action(self, parent: CompositionState, child: CompositionState, context: Context) -> Tensor:
        count, element = (child.counts - parent.counts).max(dim=1)
        return torch.where(
            child.stopped, self.n_vocabulary * self.n_counts, element * self.n_counts + count - 1
        )

    def features(self, state: CompositionState) -> Tensor:
        """Counts, their logarithms, presence and binary digits by element; numbers of atoms and elements; the stop.

        The digits tell neighbouring counts apart, which occupy different Wyckoff positions in many groups.
        """
        counts = state.counts.float()
        atoms = counts.sum(dim=1, keepdim=True) / _ATOMS
        present = (state.counts > 0).float()
        elements = present.sum(dim=1, keepdim=True) / _ELEMENTS
        place = torch.arange(self.n_digits, device=counts.device)
        digits = (state.counts[:, :, None] >> place) & 1
        parts = [
            counts / self.most_counts,
            torch.log1p(counts),
            present,
            digits.flatten(1).float(),
            atoms,
            elements,
            state.stopped[:, None].float(),
        ]
        return torch.cat(parts, dim=1)

    def summary(self, state: CompositionState) -> Tensor:
        """Fractions and presence by element; log of the atoms over their maximum, elements over theirs."""
        counts = state.counts.float()
        atoms = counts.sum(dim=1, keepdim=True).clamp(min=1.0)
        present = (counts > 0).float()
        elements = present.sum(dim=1, keepdim=True) / _ELEMENTS
        return torch.cat([counts / atoms, present, (atoms / _ATOMS).log(), elements], dim=1)


def _group(context: Context) -> Tensor:
    return context.of(SpaceGroupState).group
