"""Oxidation states: named tables, tables of one's own, and named tables with other states of some elements.

Which atoms of one element may differ in their state is a matter of the table too, where mixed valence is allowed:

- ``plausible``: only atoms of a metal, in two neighbouring positive states at most 2 apart (Fe 2+ with 3+ in Fe3O4, Pb
  2+ with 4+ in Pb3O4, never Cr 2+ with 6+); anions never: oxygen is O 2-, sulphur all S 2- or all S 1- (pyrite);
- other tables: any states of one sign (never S 2- with 6+).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Self

from gflownet_crystal.common.errors import ConfigError

TABLE_NAME = "oxidation_states.json"
LARGEST_STATE = 10
"""Of an element, in absolute value; iridium's 9 is the highest that is known."""
TABLES = ("default", "plausible", "common", "icsd", "all")
BASE = "base"
"""Key of a mapping that names the table for the elements that the mapping leaves out."""

_MOST_NAMED = 8

TableSetting = str | Mapping[str, str | Sequence[int]]
"""A name in TABLES, or oxidation states by symbol, on top of the table under BASE where there is one."""


@dataclass(frozen=True)
class OxidationTable:
    """Oxidation states by element, and which of them occur together in one element.

    Attributes:
        name: the table in messages.
        states: distinct non-zero states by symbol, ascending; an element that is left out has none.
        neighbouring: whether only metals mix states, two neighbouring positive ones at most 2 apart; else any states of
            one sign mix.
    """

    name: str
    states: Mapping[str, tuple[int, ...]]
    neighbouring: bool = False

    @classmethod
    def of(cls, setting: TableSetting) -> Self:
        """The table that a configuration asks for.

        Raises:
            ConfigError: an unknown table or element, or states that are no list of whole numbers.
        """
        if isinstance(setting, str):
            return cls(repr(setting), oxidation_table(setting), neighbouring=setting == "plausible")
        base, own = setting.get(BASE), {symbol: value for symbol, value in setting.items() if symbol != BASE}
        if foreign := [str(symbol) for symbol in own if symbol not in element_entries()]:
            raise ConfigError(
                f"oxidation_table names {', '.join(foreign)}, no element from H to Pu; give symbols as Na, and a table "
                f"for the other elements as {BASE}: plausible"
            )
        given = {symbol: _checked_states(symbol, states) for symbol, states in own.items()}
        if base is None:
            return cls("given", given)
        some = ", ".join(own) if len(own) <= _MOST_NAMED else f"{len(own)} elements"
        name = f"{base!r} with other states of {some}" if own else repr(base)
        return cls(name, {**oxidation_table(base), **given}, neighbouring=base == "plausible")

    def of_element(self, symbol: str) -> tuple[int, ...]:
        """States of an element, ascending; none where the table has none."""
        return self.states.get(symbol, ())

    def together(self, symbol: str, mixed_valence: bool) -> list[tuple[int, ...]]:
        """Sets of states of an element: its atoms all take theirs from one of the sets."""
        states = self.of_element(symbol)
        single: list[tuple[int, ...]] = [(state,) for state in states]
        if not mixed_valence:
            return single
        negative, positive = (tuple(s for s in states if s * sign > 0) for sign in (-1, 1))
        if not self.neighbouring:
            return [same_sign for same_sign in (negative, positive) if same_sign]
        if not element_entries()[symbol]["is_metal"]:
            return single
        return single + [pair for pair in pairwise(positive) if pair[1] - pair[0] <= 2]


def with_anions(setting: TableSetting, elements: Sequence[str], anions: Sequence[str]) -> TableSetting:
    """A table in which only the anions have negative states, and no positive ones.

    Args:
        setting: table to start from.
        elements: elements whose states are limited.
        anions: those of them that are anions.
    """
    table = OxidationTable.of(setting)
    own = {e: [s for s in table.of_element(e) if (s < 0) == (e in anions)] for e in elements}
    return {**({BASE: setting} if isinstance(setting, str) else setting), **own}


@cache
def element_entries() -> dict[str, dict[str, Any]]:
    """States by table, and ``is_metal``, of each element from H to Pu."""
    text = files(__package__).joinpath(TABLE_NAME).read_text(encoding="utf-8")
    return dict(json.loads(text))


def oxidation_table(name: object) -> dict[str, tuple[int, ...]]:
    """Non-zero oxidation states by element symbol, H to Pu; empty where the table has none.

    Raises:
        ConfigError: no table has that name.
    """
    if name not in TABLES:
        raise ConfigError(f"oxidation table {name!r} does not exist; choose one of {', '.join(TABLES)}")
    return {symbol: tuple(entry[str(name)]) for symbol, entry in element_entries().items()}


def _checked_states(symbol: str, states: object) -> tuple[int, ...]:
    """Distinct non-zero oxidation states in ascending order."""
    if not isinstance(states, Sequence) or isinstance(states, str):
        raise ConfigError(f"oxidation_table.{symbol} is {states!r}; give a list, as [1] or [-1, 1]")
    checked = [_checked_state(symbol, state) for state in states]
    return tuple(sorted({state for state in checked if state}))


def _checked_state(symbol: str, state: object) -> int:
    if isinstance(state, bool) or not isinstance(state, int | float) or not float(state).is_integer():
        raise ConfigError(
            f"oxidation_table.{symbol} has the state {state!r}; states are whole numbers with their sign in front, as "
            "1 or -2; where atoms have different ones, name both"
        )
    if abs(state) > LARGEST_STATE:
        raise ConfigError(f"oxidation_table.{symbol} has the state {state}; none is above {LARGEST_STATE}")
    return int(state)
