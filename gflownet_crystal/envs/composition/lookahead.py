"""Which partial compositions can be completed: the predicate behind the composition's masks.

A partial composition is *open-ended* if it is closed already (a valid whole) or becomes closed by at most ``depth``
more elements, where ``depth`` is the largest of 1, the number of required elements still missing, the minimum number
of elements less those chosen, and the fewest elements that can supply the atoms still owed. Each of these falls by at
most one when an element is added, so an open-ended state that is not closed has an open-ended child: masks that let
only open-ended children through have no dead ends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.common.rows import computed_where
from gflownet_crystal.crystallography.occupation import IMPOSSIBLE
from gflownet_crystal.envs.composition.charge_sets import meets
from gflownet_crystal.envs.composition.deep import DeepTables
from gflownet_crystal.envs.composition.partial import Partial, extend
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.tables import CompositionTables

_CHUNK = 100_000


class LookAhead(MovedToDevice):
    """Decides whether partial compositions can be completed.

    Args:
        rules: the constraints.
        tables: their tables, on the device of the states.
    """

    def __init__(self, rules: CompositionRules, tables: CompositionTables) -> None:
        self.rules, self.tables = rules, tables
        self._deep_tables: DeepTables | None = None
        self.metallic = rules.metallic
        self.least_elements, self.most_elements = rules.n_elements[0], rules.most_elements
        self.least_atoms, self.most_atoms = rules.n_atoms
        self.allowed = rules.allowed_counts()
        self.required = rules.is_required()
        self.requires_any = len(rules.required_elements) > 0
        self.usable = self.allowed.any(dim=1)
        self.in_class = torch.nn.functional.one_hot(tables.class_of, tables.n_classes).float()
        # whether a state other than the source may have to look further than one element
        self.may_be_deep = (
            len(rules.required_elements) > 1
            or self.least_elements > 2
            or self.least_atoms > rules.max_count + 1
        )

    def to(self, device: torch.device | str) -> LookAhead:
        """Move everything to ``device`` and return self."""
        self.tables = self.tables.to(device)
        self.allowed, self.required = self.allowed.to(device), self.required.to(device)
        self.usable, self.in_class = self.usable.to(device), self.in_class.to(device)
        # rebuilt on the device when next needed
        self._deep_tables = None
        return self

    def closed(self, partial: Partial) -> Tensor:
        """(n,) bool: valid wholes."""
        n_elements = partial.n_elements
        balanced = meets(partial.demand, self.tables.start)
        if self.metallic:
            balanced = balanced | (n_elements == 1)
        fits = (partial.occupation != IMPOSSIBLE) & self._in_range(n_elements, partial.n_atoms)
        return fits & balanced & (self.missing(partial.chosen) == 0)

    def missing(self, chosen: Tensor) -> Tensor:
        """(n,) int64: required elements that are not chosen."""
        return (self.required & ~chosen).sum(dim=-1)

    def depth(self, partial: Partial) -> Tensor:
        """(n,) int64: number of elements looked ahead."""
        return self.depth_of(
            self.missing(partial.chosen), partial.n_elements, partial.n_atoms, partial.base_depth
        )

    def depth_of(self, missing: Tensor, n_elements: Tensor, n_atoms: Tensor, base_depth: Tensor) -> Tensor:
        """:meth:`depth` as a function of its arguments, which are broadcast against each other."""
        owed_atoms = (self.least_atoms - n_atoms + self.tables.n_counts - 1) // self.tables.n_counts
        owed = torch.maximum(missing, self.least_elements - n_elements)
        return torch.maximum(torch.maximum(owed, owed_atoms), base_depth)

    def open_ended(self, partial: Partial) -> Tensor:
        """(n,) bool: closed, or closed by at most ``depth`` more elements."""
        return self.reaches(partial, self.depth(partial))

    def reaches(self, partial: Partial, depth: Tensor) -> Tensor:
        """(n,) bool: closed, or closed by at most ``depth`` (n,) more elements."""
        found = self.closed(partial)
        found = computed_where(~found, found, lambda rows: self._one_more(partial[rows]))
        return self._several_more(found, partial, depth)

    def _in_range(self, n_elements: Tensor, n_atoms: Tensor) -> Tensor:
        return self._number_fits(n_elements) & (n_atoms >= self.least_atoms) & (n_atoms <= self.most_atoms)

    def _one_more(self, partial: Partial) -> Tensor:
        """(n,) bool: closed by exactly one more element."""
        n_elements, missing = partial.n_elements, self.missing(partial.chosen)
        room = self._in_range(n_elements + 1, torch.full_like(n_elements, self.most_atoms))
        possible = room & (missing <= 1) & (partial.occupation != IMPOSSIBLE)
        offer = self.tables.offer(partial.occupation, partial.n_atoms)
        at_least = self.tables.supply_at_least
        possible = possible & meets(at_least[0, offer], partial.demand)
        # more suppliers than elements already chosen leave at least one
        enough = at_least[n_elements.clamp(max=len(at_least) - 1), offer]
        certain = possible & (missing == 0) & meets(enough, partial.demand)
        return computed_where(possible & ~certain, certain, lambda rows: self._supplied(partial[rows]))

    def _supplied(self, partial: Partial) -> Tensor:
        """(n,) bool: some element that is free to be chosen supplies the demand."""
        available = ~partial.chosen & self.usable
        missing = self.required & ~partial.chosen
        available = torch.where(missing.any(dim=1, keepdim=True), available & missing, available)
        in_class = available.float() @ self.in_class > 0.5
        offer = self.tables.offer(partial.occupation, partial.n_atoms)
        supplies = meets(self.tables.supply[:, offer], partial.demand)
        return (in_class.T & supplies).any(dim=0)

    def _several_more(self, found: Tensor, partial: Partial, depth: Tensor) -> Tensor:
        """``found`` or completed by two or more elements: by tables, and where they leave it open by search."""
        if not self.may_be_deep:
            return found
        deep = ~found & (depth >= 2) & (partial.n_elements + 2 <= self.most_elements)
        rows = (deep & (partial.occupation != IMPOSSIBLE)).nonzero().squeeze(1)
        if len(rows):
            rows = rows[self._conceivable(partial[rows], depth[rows])]
        if not len(rows):
            return found
        certain, refused = self._by_deep_tables(partial[rows], depth[rows])
        found = found.index_put((rows,), certain)
        return self._searched(found, partial, depth, rows[~certain & ~refused])

    def _by_deep_tables(self, partial: Partial, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Compositions that the deep tables complete, and those that they refuse, (n,) bool each.

        To be asked only where neither none nor one more element closes the composition.
        """
        tables, state, atoms = self.deep_tables, partial.occupation, partial.n_atoms
        n_elements = partial.n_elements
        if tables.choices is not None:
            certain = self._by_choices(tables.choices, partial, depth)
            return certain, ~certain
        certain = torch.zeros_like(depth, dtype=torch.bool)
        possible = torch.zeros_like(certain)
        for steps in range(2, int(depth.max()) + 1):
            fit = (steps <= depth) & self._number_fits(n_elements + steps)
            some, every = tables.further(steps, self.required & ~partial.chosen, state, atoms)
            certain = certain | (fit & meets(every, partial.demand))
            possible = possible | (fit & meets(some, partial.demand))
        return certain, ~possible

    def _by_choices(self, choices: Tensor, partial: Partial, depth: Tensor) -> Tensor:
        """(n,) bool; compositions that some two to ``depth`` more elements complete, by trying every choice."""
        tables = self.deep_tables
        available = tables.by_class(~partial.chosen & self.usable)
        missing = tables.by_class(self.required & ~partial.chosen)
        found = torch.zeros_like(depth, dtype=torch.bool)
        for choice in choices:
            size = int(choice.sum())
            open_to = (choice <= available).all(dim=1) & (choice >= missing).all(dim=1)
            open_to &= (size <= depth) & self._number_fits(partial.n_elements + size) & ~found
            rows = open_to.nonzero().squeeze(1)
            if len(rows):
                some = partial[rows]
                found[rows] = tables.closed_by(choice, some.demand, some.occupation, some.n_atoms)
        return found

    def _number_fits(self, n_elements: Tensor) -> Tensor:
        return (n_elements >= self.least_elements) & (n_elements <= self.most_elements)

    @property
    def deep_tables(self) -> DeepTables:
        """Tables for deep states, built at the first use."""
        if self._deep_tables is None:
            self._deep_tables = DeepTables(self.rules, self.tables)
        return self._deep_tables

    def _searched(self, found: Tensor, partial: Partial, depth: Tensor, rows: Tensor) -> Tensor:
        """``found`` or completed by two or more elements, tried element by element; required ones first."""
        found = found.clone()
        for element in self.required.long().argsort(descending=True).tolist():
            rows = rows[~found[rows]]
            if not len(rows):
                break
            missing = self.required & ~partial.chosen[rows]
            useful = missing[:, element] | (missing.sum(dim=1) < depth[rows])
            some = rows[useful & ~partial.chosen[rows, element]]
            for part in some.split(max(1, _CHUNK // self.tables.n_counts)):
                found = self._through(found, partial, depth, part, element)
        return found

    def _conceivable(self, partial: Partial, depth: Tensor) -> Tensor:
        """(n,) bool; False where no 2 to ``depth`` elements have the atoms and the range of charges demanded."""
        steps = torch.arange(2, int(depth.max()) + 1, device=depth.device)
        n_elements = partial.n_elements[:, None] + steps
        timely = (
            (steps <= depth[:, None])
            & (n_elements >= self.least_elements)
            & (n_elements <= self.most_elements)
        )
        in_range = [
            self.tables.within_bounds(partial.demand, partial.occupation, partial.n_atoms, int(s))
            for s in steps
        ]
        return (timely & torch.stack(in_range, dim=1)).any(dim=1)

    def _through(self, found: Tensor, partial: Partial, depth: Tensor, rows: Tensor, element: int) -> Tensor:
        """Mark those of ``rows`` that can be completed with ``element`` as the next."""
        successor = self.tables.transition[partial.occupation[rows]] != IMPOSSIBLE
        count = torch.arange(successor.shape[1], device=rows.device)
        within = partial.n_atoms[rows, None] + count <= self.most_atoms
        which, number = (successor & within & self.allowed[element]).nonzero().unbind(dim=1)
        if not len(which):
            return found
        source = rows[which]
        child = extend(self.tables, partial[source], torch.full_like(number, element), number)
        return found.index_put((source[self.reaches(child, depth[source] - 1)],), torch.ones_like(found[0]))
