"""Charges of elements beside anions, as known crystals show them: Mn 4+ with F and Cl, Co 4+ with F and O but not Cl.

An oxidation table says which charges an element has at all. Beside Cl or H most metals have fewer of them than beside
F or O. The table of this module counts, for an element, a charge and an anion, the compounds on the convex hull of
known crystals that show them; see :mod:`gflownet_crystal.proxies.build_anion_charges`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor

from gflownet_crystal.crystallography.charge import is_neutral
from gflownet_crystal.crystallography.oxidation import BASE, oxidation_table

TABLE_NAME = "anion_charges.json"
CHARGES = "plausible"
"""Oxidation table whose charges are told apart by anion."""
ANIONS = ("H", "N", "O", "F", "S", "Cl", "Se", "Br", "Te", "I")

Counts = Mapping[str, Mapping[str, Mapping[int, int]]]
"""Number of compounds by anion, element and positive charge."""


@cache
def anion_charges() -> Counts:
    """Number of known compounds by anion, element and positive charge."""
    table = json.loads(files(__package__).joinpath(TABLE_NAME).read_text(encoding="utf-8"))
    return {
        anion: {element: {int(charge): n for charge, n in row.items()} for element, row in rows.items()}
        for anion, rows in table.items()
    }


def shown_charges(elements: Sequence[str], anions: Sequence[str], fewest: int) -> dict[str, tuple[int, ...]]:
    """Charges that known compounds show of elements beside anions.

    Args:
        elements: symbols.
        anions: those of ANIONS that a composition holds.
        fewest: number of compounds that show a positive charge beside one of the anions, at least.

    Returns:
        Charges by symbol: the negative ones of the oxidation table, and the positive ones that are shown.
    """
    counts, table = anion_charges(), oxidation_table(CHARGES)
    found = {}
    for element in elements:
        beside = [counts[anion].get(element, {}) for anion in anions if anion != element]
        found[element] = tuple(
            charge
            for charge in table[element]
            if charge < 0 or any(n.get(charge, 0) >= fewest for n in beside)
        )
    return found


def unusual_charges(counts: Tensor, elements: Sequence[str], fewest: int) -> Tensor:
    """Whether a composition balances only with charges that known compounds do not show beside its anions, (n,) bool.

    Compositions without an anion, and those that do not balance at all, as metals, are not unusual.

    Args:
        counts: (n, E) int64 atoms of each element.
        elements: the E symbols.
        fewest: number of compounds that show a charge beside an anion, at least.
    """
    unusual = torch.zeros(len(counts), dtype=torch.bool)
    is_anion = torch.tensor([element in ANIONS for element in elements], dtype=torch.bool)
    rows = ((counts > 0) & is_anion).any(dim=1).nonzero().squeeze(1)
    if not len(rows):
        return unusual
    rows = rows[is_neutral(counts[rows], elements, CHARGES)]
    kinds, kind_of = torch.unique((counts[rows] > 0) & is_anion, dim=0, return_inverse=True)
    for kind, anions in enumerate(kinds):
        of_kind = rows[kind_of == kind]
        present = (counts[of_kind] > 0).any(dim=0)
        names = [element for element, there in zip(elements, present.tolist(), strict=True) if there]
        beside = [elements[column] for column in anions.nonzero().squeeze(1).tolist()]
        table: dict[str, str | Sequence[int]] = {BASE: CHARGES, **shown_charges(names, beside, fewest)}
        unusual[of_kind] = ~is_neutral(counts[of_kind][:, present], names, table)
    return unusual
