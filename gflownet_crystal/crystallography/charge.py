"""Charge neutrality: which total charges the atoms of an element can have, and which compositions balance.

Two readings of an oxidation table:

- one state per element: all k atoms of an element have the same state, their totals are k times its states;
- mixed valence: the k atoms may differ where the table allows it. In most tables they need one sign (Fe 2+ with 3+ in
  Fe3O4, never S 2- with 6+), so the totals are the k-fold sums of the positive states and of the negative states; in
  ``plausible`` only metals mix, see :mod:`oxidation`.

The ``default`` and ``plausible`` tables are meant for mixed valence. Shares of compositions that balance, in %:
distinct formulas of Materials Project compounds within 0.08 eV/atom of the hull (MP-20) with at least one of N O F P S
Cl Se Br I, the same with H C As Te added, and random compositions of 2 to 5 elements drawn with the elements'
frequencies and reduced counts in MP-20 (``python -m benchmarks.reach data=FILE table=NAME mixed_valence=true|false``):

    table      one state per element    mixed valence
    default                89  87  29                 95  92  34
    plausible              85  81  17                 90  87  18
    common                 61  58   9                 64  61  12
    icsd                   81  78  18                 87  84  21
    all                    91  90  56                 97  95  62
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.crystallography.occupation import check_counts
from gflownet_crystal.crystallography.oxidation import TABLES, OxidationTable, TableSetting, element_entries

_ROWS = 2048
"""Compositions at a time, which bounds the memory."""


class ChargeModel(MovedToDevice):
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
        table: TableSetting = "default",
        mixed_valence: bool = True,
        metallic: bool = False,
        max_count: int = 20,
    ) -> None:
        """Tabulate the totals.

        Args:
            elements: element symbols.
            table: a name in TABLES, or oxidation states by element symbol; see :class:`OxidationTable`.
            mixed_valence: whether atoms of an element may have different states, where the table allows it.
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
        if unknown := [symbol for symbol in self.elements if symbol not in element_entries()]:
            raise ConfigError(f"unknown element {', '.join(unknown)}; elements are given by symbol, H to Pu")
        oxidation = OxidationTable.of(table)
        states = [oxidation.of_element(symbol) for symbol in self.elements]
        stateless = [symbol for symbol, values in zip(self.elements, states, strict=True) if not values]
        if stateless and not metallic:
            raise ConfigError(
                f"no oxidation state of {', '.join(stateless)} in the table {oxidation.name}; "
                f"leave them out, use another of {', '.join(TABLES)}, or set metallic=true"
            )
        width = max((len(values) for values in states), default=0)
        self.states: Tensor = torch.tensor([[*values, *[0] * (width - len(values))] for values in states])
        self.offset = max_count * max((abs(state) for values in states for state in values), default=0)
        self.charges: Tensor = torch.stack(
            [self._reachable(oxidation.together(symbol, mixed_valence)) for symbol in self.elements]
        )
        self.is_metal: Tensor = torch.tensor(
            [bool(element_entries()[symbol]["is_metal"]) for symbol in self.elements]
        )

    def totals(self, element: str, count: int) -> list[int]:
        """Total charges that ``count`` atoms of an element can have, ascending."""
        row = self.charges[self.elements.index(element), count]
        return (row.nonzero().squeeze(1) - self.offset).tolist()

    def neutral(self, counts: Tensor) -> Tensor:
        """Whether each composition has an assignment of states with no net charge, or passes as metallic, (n,) bool.

        Args:
            counts: (n, E) int64, atoms of each element, 0..max_count.

        Raises:
            ConfigError: a count is negative or above ``max_count``.
        """
        check_counts(counts, self.max_count)
        present = counts > 0
        balanced = self._balanced(counts, present)
        if not self.metallic:
            return balanced
        return balanced | (~present | self.is_metal).all(dim=1) | (present.sum(dim=1) == 1)

    def _balanced(self, counts: Tensor, present: Tensor) -> Tensor:
        most = max(2, int(present.sum(dim=1).max())) if len(counts) else 2
        # a window for the charges of these rows, not of max_count atoms
        largest = int((counts * self.states.abs().amax(dim=1)).max()) if self.offset and len(counts) else 0
        window = slice(self.offset - largest, self.offset + largest + 1)
        # each row's own elements first, the rest pads with counts of 0; two halves meet in the middle
        elements = present.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
        charges = [
            self.charges[column, counts.gather(1, column.unsqueeze(1)).squeeze(1), window]
            for column in elements.unbind(dim=1)
        ]
        middle = (len(charges) + 1) // 2
        left = reduce(_sums, charges[:middle])
        right = reduce(_sums, charges[middle:] or [torch.ones_like(present[:, :1])])
        margin = (left.shape[1] - right.shape[1]) // 2
        right = torch.nn.functional.pad(right, (margin, margin))
        return (left & right.flip(1)).any(dim=1)

    def _reachable(self, sets: Sequence[Sequence[int]]) -> Tensor:
        """(K + 1, 2 * offset + 1) bool of one element, whose atoms take their states from one of the sets."""
        reachable = torch.zeros(self.max_count + 1, 2 * self.offset + 1, dtype=torch.bool)
        reachable[0, self.offset] = True
        for states in sets:
            sums = reachable[0].clone()
            for count in range(1, self.max_count + 1):
                # sums never reach the window's ends before count == max_count, so nothing wraps around
                sums = torch.stack([sums.roll(state) for state in states]).any(dim=0)
                reachable[count] |= sums
        return reachable


def is_neutral(
    counts: Tensor,
    elements: Sequence[str],
    table: TableSetting = "default",
    mixed_valence: bool = True,
    metallic: bool = False,
) -> Tensor:
    """Whether compositions balance, or pass as metallic; elements without states balance in none.

    Args:
        counts: (n, E) int64, atoms of each element.
        elements: the E symbols.
        table, mixed_valence, metallic: arguments of :class:`ChargeModel`.

    Returns:
        (n,) bool.
    """
    # elements without states are tolerated here, and refused one composition at a time
    model = ChargeModel(elements, table, mixed_valence, metallic=True, max_count=max(1, int(counts.max())))
    model.metallic = metallic
    return torch.cat([model.neutral(part) for part in counts.split(_ROWS)])


def _sums(first: Tensor, second: Tensor) -> Tensor:
    """Sums of two sets of charges, (n, 2p + 1) and (n, 2q + 1) bool centred on zero -> (n, 2(p + q) + 1)."""
    length = first.shape[1] + second.shape[1] - 1
    # a power of two at least as long keeps the circular convolution linear and the transform fast
    padded = 1 << (length - 1).bit_length()
    spectrum = torch.fft.rfft(first.double(), n=padded) * torch.fft.rfft(second.double(), n=padded)
    ways: Tensor = torch.fft.irfft(spectrum, n=padded)[:, :length]
    return ways > 0.5
