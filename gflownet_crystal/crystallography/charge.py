"""Charge neutrality: which total charges the atoms of an element can have, and which compositions balance.

Two readings of an oxidation table:

- one state per element: all k atoms of an element have the same state, their totals are k times its states;
- mixed valence: the k atoms may differ but have one sign (Fe 2+ with 3+ in Fe3O4, never S 2- with 6+), so the totals
  are the k-fold sums of the positive states and of the negative states.

The ``default`` table is meant for mixed valence; what each table admits is listed in docs/chemistry.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError

TABLE_NAME = "oxidation_states.json"
TABLES = ("default", "common", "icsd", "all")


class ChargeModel:
    """Reachable charges of each element, as tensors for bit-set masks and as a reference check.

    Attributes:
        elements: the E element symbols.
        max_count: largest number K of atoms of one element.
        states: (E, S) int64 oxidation states in ascending order, padded with 0, which is never a state.
        charges: (E, K + 1, 2 * offset + 1) bool; ``charges[e, k, offset + q]`` tells whether k atoms of element e can
            have the total charge q. No atoms have the total 0 only.
        offset: largest absolute total charge of one element.
        is_metal: (E,) bool.
        metallic: whether compositions of metals only, and single elements, pass without an ionic solution.
    """

    def __init__(
        self,
        elements: Sequence[str],
        table: str | Mapping[str, Sequence[int]] = "default",
        mixed_valence: bool = True,
        metallic: bool = False,
        max_count: int = 20,
    ) -> None:
        """Tabulate the totals.

        Args:
            elements: element symbols.
            table: a name in TABLES, or oxidation states by element symbol.
            mixed_valence: whether atoms of an element may have different states of one sign.
            metallic: let metals, alloys and single elements pass.
            max_count: largest number of atoms of one element in the composition that is checked.

        Raises:
            ConfigError: unknown table or element; or an element without states although ``metallic`` is false.
        """
        if not elements:
            raise ConfigError("no elements given; name at least one, as [Na, Cl]")
        if max_count < 1:
            raise ConfigError(f"max_count is {max_count}; the largest count of an element must be at least 1")
        self.elements = tuple(elements)
        self.max_count = max_count
        self.metallic = metallic
        states = _states_of(self.elements, table)
        stateless = [symbol for symbol, values in zip(self.elements, states, strict=True) if not values]
        if stateless and not metallic:
            raise ConfigError(
                f"no oxidation state of {', '.join(stateless)} in the table {_name(table)}; "
                f"leave them out, use another of {', '.join(TABLES)}, or set metallic=true"
            )
        width = max((len(values) for values in states), default=0)
        self.states: Tensor = torch.tensor([[*values, *[0] * (width - len(values))] for values in states])
        self.offset = max_count * max((abs(state) for values in states for state in values), default=0)
        self.charges: Tensor = torch.stack([self._reachable(values, mixed_valence) for values in states])
        self.is_metal: Tensor = torch.tensor([bool(_elements()[symbol]["is_metal"]) for symbol in self.elements])

    def to(self, device: torch.device | str) -> Self:
        """Move the tables to ``device`` and return self."""
        self.states, self.charges = self.states.to(device), self.charges.to(device)
        self.is_metal = self.is_metal.to(device)
        return self

    def totals(self, element: str, count: int) -> list[int]:
        """Total charges that ``count`` atoms of an element can have, ascending."""
        row = self.charges[self.elements.index(element), count]
        return (row.nonzero().squeeze(1) - self.offset).tolist()

    def neutral(self, counts: Tensor) -> Tensor:
        """Whether each composition has an assignment of states with no net charge, or passes as metallic.

        Args:
            counts: (n, E) int64, atoms of each element, 0..max_count.

        Returns:
            (n,) bool.

        Raises:
            ConfigError: a count is negative or above ``max_count``.
        """
        if counts.numel() and bool(((counts < 0) | (counts > self.max_count)).any()):
            raise ConfigError(f"counts reach from {counts.min()} to {counts.max()}; allowed are 0 to {self.max_count}")
        present = counts > 0
        balanced = self._balanced(counts, present)
        if not self.metallic:
            return balanced
        return balanced | (~present | self.is_metal).all(dim=1) | (present.sum(dim=1) == 1)

    def _balanced(self, counts: Tensor, present: Tensor) -> Tensor:
        n = len(counts)
        most = int(present.sum(dim=1).max()) if n else 0
        # in a neutral sum neither sign exceeds what the rarer half of the elements can balance
        half = self.offset * max(1, most // 2)
        reachable = torch.zeros(n, 2 * half + 1, device=counts.device)
        reachable[:, half] = 1.0
        # each row's own elements first, so that the number of steps is the largest number of elements in a row
        order = present.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        for element in order[:, :most].unbind(dim=1):
            count = counts.gather(1, element.unsqueeze(1)).squeeze(1)
            kernel = self.charges[element, count].flip(1).to(reachable.dtype)
            summed = torch.nn.functional.conv1d(
                reachable.unsqueeze(0), kernel.unsqueeze(1), padding=self.offset, groups=n
            )
            reachable = (summed.squeeze(0) > 0.5).to(reachable.dtype)
        return reachable[:, half] > 0.5

    def _reachable(self, states: Sequence[int], mixed_valence: bool) -> Tensor:
        """(K + 1, 2 * offset + 1) bool of one element."""
        reachable = torch.zeros(self.max_count + 1, 2 * self.offset + 1, dtype=torch.bool)
        reachable[0, self.offset] = True
        if not mixed_valence:
            for count in range(1, self.max_count + 1):
                reachable[count, [self.offset + count * state for state in states]] = True
            return reachable
        for same_sign in ([s for s in states if s < 0], [s for s in states if s > 0]):
            sums = reachable[0].clone()
            for count in range(1, self.max_count + 1):
                # sums never reach the window's ends before count == max_count, so nothing wraps around
                shifted = [sums.roll(state) for state in same_sign]
                sums = torch.stack(shifted).any(dim=0) if shifted else torch.zeros_like(sums)
                reachable[count] |= sums
        return reachable


@cache
def _elements() -> dict[str, dict[str, Any]]:
    text = files(__package__).joinpath(TABLE_NAME).read_text(encoding="utf-8")
    return dict(json.loads(text))


def oxidation_table(name: str) -> dict[str, tuple[int, ...]]:
    """Non-zero oxidation states by element symbol, H to Pu; empty where the table has none.

    Raises:
        ConfigError: no table has that name.
    """
    if name not in TABLES:
        raise ConfigError(f"oxidation table {name!r} does not exist; choose one of {', '.join(TABLES)}")
    return {symbol: tuple(entry[name]) for symbol, entry in _elements().items()}


def _states_of(elements: Sequence[str], table: str | Mapping[str, Sequence[int]]) -> list[tuple[int, ...]]:
    unknown = [symbol for symbol in elements if symbol not in _elements()]
    if unknown:
        raise ConfigError(f"unknown element {', '.join(unknown)}; elements are given by symbol, H to Pu")
    states = oxidation_table(table) if isinstance(table, str) else table
    return [tuple(sorted({int(state) for state in states.get(symbol, ()) if state})) for symbol in elements]


def _name(table: str | Mapping[str, Sequence[int]]) -> str:
    return repr(table) if isinstance(table, str) else "given"
