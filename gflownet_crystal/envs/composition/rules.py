"""Rules of compositions: elements, ranges, required elements and chemistry, checked on construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self, TypedDict

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.crystallography.oxidation import OxidationTable, TableSetting, with_anions
from gflownet_crystal.envs.composition.checks import (
    Range,
    anion_symbols,
    checked_range,
    checked_symbols,
    common_symbols,
    merged_symbols,
    overlap,
)
from gflownet_crystal.envs.composition.patterns import FormulaPattern, FormulaSetting, Sites, patterns_of
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS


class Restriction(TypedDict, total=False):
    """Constraints that narrow a space, over the same vocabulary.

    Attributes:
        elements: the only elements to use; all if None.
        excluded_elements: left out in addition to those already excluded.
        required_elements: required in addition.
        n_elements: range to intersect with the present one, as are the next two.
        n_atoms: range of the number of atoms.
        count_ranges: ranges of the counts of single elements.
        formula: formula that is asked for in addition, see :mod:`~gflownet_crystal.envs.composition.patterns`.
        sites: sets of elements for the letters of the formula.
        anion: anions, of the present ones where some are given.
    """

    elements: Sequence[str] | None
    excluded_elements: Sequence[str]
    required_elements: Sequence[str]
    n_elements: Sequence[int] | None
    n_atoms: Sequence[int] | None
    count_ranges: Mapping[str, Sequence[int]] | None
    formula: FormulaSetting | None
    sites: Sites | None
    anion: str | Sequence[str] | None


@dataclass(frozen=True)
class CompositionRules:
    """Constraints on the composition of the conventional cell.

    Attributes:
        elements: symbols of the vocabulary; the order is that of the actions.
        max_count: largest number of atoms of one element that an action can add, K.
        count_ranges: minimum and maximum number of atoms of an element, where present and not 1 to K.
        n_elements: minimum and maximum number of elements.
        n_atoms: minimum and maximum number of atoms in the cell.
        required_elements: every composition holds them.
        excluded_elements: no composition holds them, although the vocabulary does.
        oxidation_table: a name known to ``crystallography.oxidation``, or oxidation states by symbol, which may name a
            ``base`` for the others.
        mixed_valence: atoms of an element may differ in their state.
        metallic: metals, alloys and single elements pass without an ionic solution; never with ``anion``.
        formulas: every composition has all of these formulas; none for any formula.
        anion: the only elements with negative oxidation states, which have no positive ones; none for any. Elements
            that have no states left are in no composition.
        charge_balance: compositions have to be neutral; may be given up with a formula only.

    Raises:
        ConfigError: a symbol, a range or a combination that makes no sense.
    """

    elements: Sequence[str]
    max_count: int = 16
    count_ranges: Mapping[str, Sequence[int]] = field(default_factory=dict)
    n_elements: Sequence[int] = (1, 5)
    n_atoms: Sequence[int] = (1, 50)
    required_elements: Sequence[str] = ()
    excluded_elements: Sequence[str] = ()
    oxidation_table: TableSetting = "default"
    mixed_valence: bool = True
    metallic: bool = False
    formulas: Sequence[FormulaPattern] = ()
    anion: Sequence[str] = ()
    charge_balance: bool = True

    def __post_init__(self) -> None:
        for name in ("elements", "required_elements", "excluded_elements", "anion"):
            object.__setattr__(self, name, checked_symbols(name, getattr(self, name)))
        if not self.elements:
            raise ConfigError("elements is empty; name at least one, as [Na, Cl]")
        if self.max_count < 1:
            raise ConfigError(
                f"max_count is {self.max_count}; the largest count of an element must be at least 1"
            )
        object.__setattr__(self, "n_atoms", checked_range("n_atoms", self.n_atoms))
        object.__setattr__(self, "n_elements", checked_range("n_elements", self.n_elements))
        for name in ("required_elements", "excluded_elements", "count_ranges", "anion"):
            foreign = [symbol for symbol in getattr(self, name) if symbol not in self.elements]
            if foreign:
                raise ConfigError(
                    f"{name} names {', '.join(foreign)}, not among elements {', '.join(self.elements)}"
                )
        ranges = {
            symbol: self._count_range(f"count_ranges.{symbol}", pair)
            for symbol, pair in self.count_ranges.items()
        }
        object.__setattr__(self, "count_ranges", ranges)
        if both := set(self.required_elements) & set(self.excluded_elements):
            raise ConfigError(
                f"{', '.join(sorted(both))} is both required and excluded; drop it from one list"
            )
        if not self.charge_balance and not self.formulas:
            raise ConfigError(
                "charge_balance=false needs a formula; give one, or let metals pass by metallic=true"
            )
        object.__setattr__(self, "metallic", self.metallic and not self.anion)
        if len(self.required_elements) > self.n_elements[1]:
            raise ConfigError(
                f"{len(self.required_elements)} required elements, but n_elements allows at most {self.n_elements[1]}"
            )

    def _count_range(self, name: str, pair: Sequence[int]) -> Range:
        least, most = checked_range(name, pair)
        if most > self.max_count:
            raise ConfigError(
                f"{name} is [{least}, {most}], above max_count={self.max_count}, the largest count of an element; "
                "lower the one or raise the other"
            )
        return least, most

    @property
    def n_vocabulary(self) -> int:
        """E, the number of elements in the vocabulary."""
        return len(self.elements)

    @cached_property
    def usable_elements(self) -> list[str]:
        """Symbols of the vocabulary that are not excluded, by name, by the formulas or by their oxidation states."""
        table = OxidationTable.of(self.states)
        return [
            symbol
            for symbol in self.elements
            if symbol not in self.excluded_elements
            and all(pattern.names(symbol) for pattern in self.formulas)
            # where the anions are given, other elements with negative states alone have none left
            and (not self.anion or table.of_element(symbol))
        ]

    @cached_property
    def states(self) -> TableSetting:
        """The oxidation table with the states that ``anion`` leaves."""
        return (
            with_anions(self.oxidation_table, self.elements, self.anion)
            if self.anion
            else self.oxidation_table
        )

    @property
    def atomic_numbers(self) -> Tensor:
        """(E,) int64."""
        return torch.tensor([ATOMIC_NUMBERS[symbol] for symbol in self.elements])

    @property
    def most_elements(self) -> int:
        """Most different elements that the vocabulary and the atoms leave room for."""
        return min(self.n_elements[1], len(self.usable_elements), self.n_atoms[1])

    def allowed_counts(self) -> Tensor:
        """(E, K + 1) bool: counts that each element may have where it is present; never 0."""
        count = torch.arange(self.max_count + 1)
        rows = []
        for symbol in self.elements:
            least, most = self.count_ranges.get(symbol, (1, self.max_count))
            usable = symbol in self.usable_elements
            rows.append((count >= max(least, 1)) & (count <= min(most, self.n_atoms[1])) & usable)
        return torch.stack(rows)

    def is_required(self) -> Tensor:
        """(E,) bool."""
        return torch.tensor([symbol in self.required_elements for symbol in self.elements])

    def satisfied(self, counts: Tensor) -> Tensor:
        """Whether whole compositions keep to the ranges and hold the required elements; chemistry is not looked at.

        Args:
            counts: (n, E) int64.

        Returns:
            (n,) bool.
        """
        present, atoms = counts > 0, counts.sum(dim=1)
        elements = present.sum(dim=1)
        allowed = self.allowed_counts().to(counts.device)
        fitting_counts = allowed.gather(1, counts.clamp(0, self.max_count).T).T & (counts <= self.max_count)
        return (
            (fitting_counts | ~present).all(dim=1)
            & (present | ~self.is_required().to(counts.device)).all(dim=1)
            & (elements >= self.n_elements[0])
            & (elements <= self.n_elements[1])
            & (atoms >= self.n_atoms[0])
            & (atoms <= self.n_atoms[1])
        )

    def of_usable_elements(self) -> Self:
        """The same rules over the usable elements alone.

        Raises:
            EmptySpaceError: there are none, or no anion of the given kind or required element is among them.
        """
        usable = self.usable_elements
        for pattern in self.formulas:
            pattern.check_elements(self.elements, self.excluded_elements)
        if not usable:
            why = "excluded, or have no oxidation states beside this anion" if self.anion else "excluded"
            raise EmptySpaceError(
                f"all of {', '.join(self.elements)} are {why}: no element may be used; leave some"
            )
        if self.anion and not set(self.anion) & set(usable):
            raise EmptySpaceError(
                f"anion names {', '.join(self.anion)}, but none of them may be used or has a negative oxidation state"
            )
        if lost := [symbol for symbol in self.required_elements if symbol not in usable]:
            raise EmptySpaceError(
                f"required_elements names {', '.join(lost)}, which the formula or anion asked for leaves out"
            )
        ranges = {symbol: pair for symbol, pair in self.count_ranges.items() if symbol in usable}
        anion = [symbol for symbol in self.anion if symbol in usable]
        return replace(self, elements=usable, excluded_elements=(), count_ranges=ranges, anion=anion)

    def restricted(
        self,
        elements: Sequence[str] | None = None,
        excluded_elements: Sequence[str] = (),
        required_elements: Sequence[str] = (),
        n_elements: Sequence[int] | None = None,
        n_atoms: Sequence[int] | None = None,
        count_ranges: Mapping[str, Sequence[int]] | None = None,
        formula: FormulaSetting | None = None,
        sites: Sites | None = None,
        anion: str | Sequence[str] | None = None,
    ) -> Self:
        """Tighter rules over the same vocabulary, so that a trained policy still fits; see :class:`Restriction`.

        Raises:
            ConfigError: an element outside the vocabulary, an unreadable formula, or ranges that do not overlap.
        """
        only = self.elements if elements is None else checked_symbols("elements", elements)
        if not only:
            raise ConfigError("elements is empty: nothing is left to sample; name at least one, as [Na, Cl]")
        foreign = [symbol for symbol in only if symbol not in self.elements]
        if foreign:
            raise ConfigError(f"{', '.join(foreign)} not in the vocabulary {', '.join(self.elements)}")
        dropped = [symbol for symbol in self.elements if symbol not in only]
        anions = self.anion if anion is None else common_symbols("anion", self.anion, anion_symbols(anion))
        ranges = dict(self.count_ranges)
        for symbol, pair in (count_ranges or {}).items():
            ranges[symbol] = overlap(f"count_ranges.{symbol}", ranges.get(symbol, (1, self.max_count)), pair)
        return replace(
            self,
            count_ranges=ranges,
            excluded_elements=merged_symbols(
                self.excluded_elements, dropped, checked_symbols("excluded_elements", excluded_elements)
            ),
            required_elements=merged_symbols(
                self.required_elements, checked_symbols("required_elements", required_elements)
            ),
            n_elements=overlap("n_elements", self.n_elements, n_elements),
            n_atoms=overlap("n_atoms", self.n_atoms, n_atoms),
            formulas=(*self.formulas, *patterns_of(formula, sites)),
            anion=anions,
        )
