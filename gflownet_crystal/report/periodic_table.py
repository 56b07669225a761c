"""The places of the elements in the periodic table of 18 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gflownet_crystal.structures.elements import SYMBOLS

_PERIODS = ((1, 2), (3, 10), (11, 18), (19, 36), (37, 54), (55, 86), (87, 118))
_LANTHANUM, _ACTINIUM, _F_ELEMENTS = 57, 89, 15


def _places() -> dict[int, tuple[int, int]]:
    places: dict[int, tuple[int, int]] = {}
    for row, (first, last) in enumerate(_PERIODS, start=1):
        for number in range(first, last + 1):
            # the s block fills from the left, all else from the noble gas at the right
            column = number - first + 1 if number - first < (1 if row == 1 else 2) else 18 - (last - number)
            places[number] = (row, column)
    for row, start in ((9, _LANTHANUM), (10, _ACTINIUM)):
        for step in range(_F_ELEMENTS):
            places[start + step] = (row, 3 + step)
    return places


PLACES: dict[int, tuple[int, int]] = _places()
"""Row and column, from 1, by atomic number; lanthanum to lutetium and actinium to lawrencium in rows 9 and 10."""

_FAINTEST, _STRONGEST = 0.12, 0.85


def table_cells(held: Iterable[str]) -> list[dict[str, object]]:
    """The table with a count and a heat for each element.

    Args:
        held: symbols, one for each time that something holds the element.

    Returns:
        For each element its symbol, row, column, count, and heat: the opacity of its colour, proportional to the count.
    """
    counts = Counter(held)
    most = max(counts.values(), default=1)
    return [
        {
            "symbol": SYMBOLS[number],
            "row": row,
            "column": column,
            "count": counts[SYMBOLS[number]],
            "heat": _FAINTEST + (_STRONGEST - _FAINTEST) * counts[SYMBOLS[number]] / most,
        }
        for number, (row, column) in PLACES.items()
    ]
