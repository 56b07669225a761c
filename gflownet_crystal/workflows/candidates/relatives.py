"""The nearest known relative of a crystal: a known formula that differs in one element."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition

_LAST = 103
_OTHER_GROUP = 1000.0


def nearest_relatives(composition: Tensor, space_group: Tensor, known: KnownCompounds) -> list[str]:
    """A known formula with one element exchanged for each crystal, such as ``KMnF3 (Rb for K)`` for RbMnF3.

    Of several the one that is known in the same space group is taken, and of those the one whose exchanged elements are
    nearest in the order of Mendeleev numbers.

    Args:
        composition: (n, 119) int64 counts.
        space_group: (n,) int64.
        known: compounds that count as known.

    Returns:
        n texts: the formula alone where it is known itself, empty where there is no such relative.
    """
    composition = reduce_composition(composition.cpu())
    itself, _ = known.look_up(composition, space_group.cpu())
    names = composition_to_text(composition, separator="", write_one=False)
    rows = zip(names, composition, space_group.tolist(), itself.tolist(), strict=True)
    return [name if own else _relative(counts, group, known) for name, counts, group, own in rows]


def _relative(counts: Tensor, group: int, known: KnownCompounds) -> str:
    leaving, entering = torch.cartesian_prod(counts.nonzero()[:, 0], (counts == 0).nonzero()[1:, 0]).T
    entering, leaving = entering[entering <= _LAST], leaving[entering <= _LAST]
    place = torch.arange(len(leaving))
    exchanged = counts.repeat(len(leaving), 1)
    exchanged[place, entering] = counts[leaving]
    exchanged[place, leaving] = 0
    formula, pair = known.look_up(exchanged, torch.full((len(leaving),), group))
    order = _mendeleev_numbers()
    distance = (order[leaving] - order[entering]).abs() + _OTHER_GROUP * ~pair
    if not bool(formula.any()):
        return ""
    best = int(distance.masked_fill(~formula, torch.inf).argmin())
    name = composition_to_text(exchanged[best : best + 1], separator="", write_one=False)[0]
    return f"{name} ({SYMBOLS[leaving[best]]} for {SYMBOLS[entering[best]]})"


@cache
def _mendeleev_numbers() -> Tensor:
    """Mendeleev numbers (119,) float64 by pymatgen's table, which puts chemically similar elements side by side."""
    from pymatgen.core import Element

    numbers = torch.zeros(N_ATOMIC_NUMBERS, dtype=torch.float64)
    with warnings.catch_warnings():
        # pymatgen warns of every value that its table lacks
        warnings.simplefilter("ignore")
        for number in range(1, _LAST + 1):
            numbers[number] = float(Element(SYMBOLS[number]).mendeleev_no)
    return numbers
