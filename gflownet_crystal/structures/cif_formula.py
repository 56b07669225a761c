"""The formula that a CIF gives of itself, and whether the atoms read are those of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_text import NULLS, CifBlock, number, quoted
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS

_TOKEN = re.compile(r"([A-Z][a-z]?)\s*(\d+(?:\.\d*)?|\.\d+)?(?:\(\d+\))?\s*")
_SUM, _WEIGHT = "_chemical_formula_sum", "_chemical_formula_weight"
_UNITS = ("_cell_formula_units_z", "_cell_z_pdb")
_HYDROGEN = ("D", "T")
_SAME_WEIGHT, _ROUNDING = 0.003, 1e-6


@dataclass(frozen=True)
class CifFormula:
    """The formula of a CIF.

    Attributes:
        text: formula as written; empty if there is none that can be compared.
        counts: atoms of each element in it, by atomic number, with half a unit of the last digit given.
        units: formula units in the cell; 0 if not given.
        weight: weight of a formula unit, in Da; 0 if not given.
    """

    text: str
    counts: dict[int, tuple[float, float]]
    units: float
    weight: float

    def fault(self, numbers: NDArray[np.int64]) -> str:
        """In words the difference of the atoms of the cell to the formula; empty if there is none.

        Args:
            numbers: (N,) atomic numbers of all atoms of the cell.
        """
        if self.counts:
            least, most = self._units_of(numbers)
            fits = (
                any(least <= units <= most for units in self._allowed_units())
                if self.units
                else least <= most
            )
            if not fits:
                units = f" and Z = {self.units:g}" if self.units else ""
                return f"the atoms of its cell are {_formula(numbers)}, but its formula is {quoted(self.text)}{units}"
        elif self.weight:
            return self._weight_fault(numbers)
        return ""

    def confirms(self, numbers: NDArray[np.int64]) -> bool:
        """Whether the formula and Z agree with the number of atoms of the cell."""
        return bool(self.counts) and self.units > 0 and not self.fault(numbers)

    def _allowed_units(self) -> list[float]:
        """Allowed numbers of formula units in the cell."""
        # some programs write the formula of the whole cell beside Z
        whole = all(count % self.units == 0 for count, _ in self.counts.values())
        return [self.units, 1.0] if whole else [self.units]

    def _units_of(self, numbers: NDArray[np.int64]) -> tuple[float, float]:
        """Range of the formula units that make up these atoms; the first is above the second if none do."""
        found = np.bincount(numbers, minlength=len(SYMBOLS))
        least, most = 0.0, np.inf
        for element in {*np.nonzero(found)[0].tolist(), *self.counts}:
            count, error = self.counts.get(element, (0.0, 0.0))
            least = max(least, found[element] / (count + error) if count else np.inf)
            most = min(most, found[element] / (count - error) if count > error else np.inf)
        return least * (1.0 - _ROUNDING), most * (1.0 + _ROUNDING)

    def _weight_fault(self, numbers: NDArray[np.int64]) -> str:
        mass = sum(gemmi.Element(int(element)).weight for element in numbers)
        units = mass / self.weight
        near = [self.units, 1.0] if self.units else [max(1.0, round(units))]
        if any(abs(units - whole) <= _SAME_WEIGHT * whole for whole in near):
            return ""
        return (
            f"the atoms of its cell are {_formula(numbers)} and weigh {mass:.2f} Da, no multiple of its formula weight "
            f"{self.weight:g}"
        )


def read_formula(block: CifBlock) -> tuple[CifFormula, tuple[str, ...]]:
    """Formula of a block, and a remark if it cannot be read.

    Raises:
        DataError: the number of formula units or the weight is no number above 0.
    """
    texts = block.known(_SUM)
    text = texts[0] if len(texts) == 1 else ""
    counts = _counts(text)
    notes = () if counts or not texts else (f"formula {quoted(' and '.join(texts))} cannot be read",)
    units, weight = (_positive(block, *tags) for tags in (_UNITS, (_WEIGHT,)))
    return CifFormula(text if counts else "", counts, units, weight), notes


def _positive(block: CifBlock, *tags: str) -> float:
    texts = block.known(*tags)
    value = number(texts[0], tags[0]) if texts and texts[0] not in NULLS else 0.0
    if value < 0:
        raise DataError(f"{tags[0]} is {quoted(texts[0])}; it must be above 0")
    return value


def _counts(text: str) -> dict[int, tuple[float, float]]:
    """Atoms and their rounding by atomic number; nothing if the text is no plain formula."""
    plain = " ".join(text.strip("'\" ").split())
    if plain.isupper() and " " in plain:
        plain = " ".join(part.capitalize() for part in plain.split())
    tokens = _TOKEN.findall(plain)
    counts: dict[int, tuple[float, float]] = {}
    if not tokens or _TOKEN.sub("", plain):
        return {}
    for symbol, amount in tokens:
        element = 1 if symbol in _HYDROGEN else ATOMIC_NUMBERS.get(symbol, 0)
        if not element:
            return {}
        digits = len(amount.partition(".")[2])
        before, error = counts.get(element, (0.0, 0.0))
        rounding = 0.5 * 10.0**-digits if float(amount or 1) % 1.0 else 0.0
        counts[element] = (before + float(amount or 1), error + rounding)
    return {element: pair for element, pair in counts.items() if pair[0] > 0}


def _formula(numbers: NDArray[np.int64]) -> str:
    counts = np.bincount(numbers)
    return " ".join(f"{SYMBOLS[element]}{counts[element]}" for element in np.nonzero(counts)[0])
