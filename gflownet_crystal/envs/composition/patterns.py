"""Formulas as compositions are asked for by: a ratio, counts of the conventional cell, or a family of formulas.

========================================  ==================================================================
``formula=LiFePO4``, ``Ca3(PO4)2``        this ratio of elements; the number of formula units is free
``formula={Na: 4, Cl: 4}``                these counts in the conventional cell
``formula=A2BX4`` with
``sites={A: [Li, Na], X: [O], B: any}``   letters with a set of elements each; those of a formula are distinct
========================================  ==================================================================

A letter of ``sites`` hides the element of that symbol: B and X above are no boron and no element.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Self

from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS

ANY = "any"
"""Set of a letter that stands for all elements of the environment."""

FormulaSetting = str | Mapping[str, int]
Sites = Mapping[str, str | Sequence[str]]

_GROUP = re.compile(r"\(([^()]*)\)([0-9]{0,4})")
_TOKEN = re.compile(r"([A-Z][a-z]?)([0-9]{0,6})")
_WHOLE = re.compile(rf"({_TOKEN.pattern})+")
_LONGEST = 200


@dataclass(frozen=True)
class FormulaPattern:
    """A formula, or a family of formulas.

    Attributes:
        text: formula as it was given, for messages.
        parts: elements that may stand in each place, and the count of the place; None for any element.
        is_ratio: whether any number of formula units is meant; else the counts are those of the cell.
    """

    text: str
    parts: tuple[tuple[tuple[str, ...] | None, int], ...]
    is_ratio: bool

    @classmethod
    def of(cls, formula: FormulaSetting, sites: Sites | None = None) -> Self:
        """Read a formula as a configuration gives it.

        Args:
            formula: text for a ratio, or counts of the conventional cell by symbol or letter.
            sites: symbols, or ``any``, by letter of the formula.

        Raises:
            ConfigError: no formula, an unknown element or letter, or a letter without elements.
        """
        is_ratio = isinstance(formula, str)
        counts = _parsed(formula) if isinstance(formula, str) else _counted(formula)
        text = (
            formula
            if isinstance(formula, str)
            else f"{{{', '.join(f'{k}: {v}' for k, v in counts.items())}}}"
        )
        if not isinstance(sites, Mapping | None):
            raise ConfigError(f"sites is {sites!r}; give elements by letter, as sites={{A: [Li, Na]}}")
        sets = {str(letter): _set_of(str(letter), given) for letter, given in (sites or {}).items()}
        if foreign := [letter for letter in sets if letter not in counts]:
            raise ConfigError(f"sites names {', '.join(foreign)}, not in formula {text}; leave it out")
        if unknown := [name for name in counts if name not in sets and name not in ATOMIC_NUMBERS]:
            raise ConfigError(
                f"formula {text}: no element {', '.join(unknown)}; give elements, as sites={{{unknown[0]}: [Na, K]}}"
            )
        divisor = gcd(*counts.values()) if is_ratio else 1
        parts = tuple((sets.get(name, (name,)), count // divisor) for name, count in counts.items())
        return cls(text, parts, is_ratio)

    @property
    def n_atoms(self) -> int:
        """Atoms of a formula unit, or of the cell."""
        return sum(count for _, count in self.parts)

    def check_elements(self, elements: Sequence[str], excluded: Sequence[str]) -> None:
        """See that each place has an element that may be used.

        Args:
            elements: all elements of the environment.
            excluded: those of them that are excluded.

        Raises:
            EmptySpaceError: one has none, or an element is not among ``elements``.
        """
        for symbols, _ in self.parts:
            named = elements if symbols is None else symbols
            foreign = [symbol for symbol in named if symbol not in elements]
            if foreign:
                raise EmptySpaceError(
                    f"formula {self.text} needs {', '.join(foreign)}, not among elements {', '.join(elements)}; give "
                    "an env with these elements, as env.elements=[...]"
                )
            if set(named) <= set(excluded):
                raise EmptySpaceError(f"formula {self.text} needs {', '.join(named)}, which may not be used")

    def names(self, symbol: str) -> bool:
        """Whether an element may stand in one of the places."""
        return any(symbols is None or symbol in symbols for symbols, _ in self.parts)


def patterns_of(formula: FormulaSetting | None, sites: Sites | None) -> tuple[FormulaPattern, ...]:
    """The formula of a configuration, if there is one.

    Raises:
        ConfigError: it cannot be read, or there are sets of elements without it.
    """
    if formula is None:
        if sites:
            raise ConfigError(f"sites gives elements ({sites!r}), but there is no formula")
        return ()
    return (FormulaPattern.of(formula, sites),)


def _parsed(text: str) -> dict[str, int]:
    """Counts of a formula as text, with its brackets resolved."""
    plain = "".join(text.split())
    while len(plain) <= _LONGEST and (bracket := _GROUP.search(plain)) is not None:
        times = int(bracket[2] or 1)
        inner = "".join(f"{name}{int(count or 1) * times}" for name, count in _TOKEN.findall(bracket[1]))
        if not inner or _WHOLE.fullmatch(bracket[1]) is None:
            break
        plain = plain[: bracket.start()] + inner + plain[bracket.end() :]
    if not _WHOLE.fullmatch(plain) or len(plain) > _LONGEST:
        raise ConfigError(
            f"formula {text!r} cannot be read; write symbols and whole numbers, as LiFePO4 or Ca3(PO4)2"
        )
    counts: dict[str, int] = {}
    for name, count in _TOKEN.findall(plain):
        counts[name] = counts.get(name, 0) + int(count or 1)
    if not all(counts.values()):
        raise ConfigError(f"formula {text!r} has a count of 0; leave that element out")
    return counts


def _counted(formula: object) -> dict[str, int]:
    """Counts of a formula as a mapping."""
    if not isinstance(formula, Mapping) or not formula:
        # YAML 1.1 reads a bare NO as a truth value
        raise ConfigError(
            f"formula is {formula!r}; give a ratio, as LiFePO4 (quoted where YAML needs it), or counts of the "
            "conventional cell, as {Na: 4, Cl: 4}"
        )
    for name, count in formula.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(
                f"formula.{name} is {count!r}; give a count of the cell, a whole number above 0"
            )
    return {str(name): int(count) for name, count in formula.items()}


def _set_of(letter: str, given: object) -> tuple[str, ...] | None:
    """Elements of a letter; None for any."""
    if given == ANY:
        return None
    symbols = [given] if isinstance(given, str) else given
    if not isinstance(symbols, Sequence) or not symbols:
        raise ConfigError(f"sites.{letter} is {given!r}; give a list of symbols, as [Na, K], or {ANY}")
    if unknown := [str(symbol) for symbol in symbols if str(symbol) not in ATOMIC_NUMBERS]:
        raise ConfigError(
            f"sites.{letter}: no element {', '.join(unknown)}; give symbols such as Na (quoted where YAML needs it)"
        )
    return tuple(dict.fromkeys(map(str, symbols)))
