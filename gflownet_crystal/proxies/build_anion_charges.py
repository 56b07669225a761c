"""Make the table of charges beside anions: ``python -m gflownet_crystal.proxies.build_anion_charges [PATH]``.

Counted are the compounds of the shipped reference hull that balance in one way with one charge an element, and in which
one element alone is negative, an anion of the table.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import product
from pathlib import Path

from torch import Tensor

from gflownet_crystal.common.files import write_text
from gflownet_crystal.crystallography import anion_charges
from gflownet_crystal.crystallography.anion_charges import ANIONS, CHARGES, TABLE_NAME
from gflownet_crystal.crystallography.oxidation import oxidation_table
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.elements import SYMBOLS


def charges_of(composition: dict[str, int]) -> dict[str, int] | None:
    """The charges of the elements of a formula; None unless exactly one set of them balances.

    Args:
        composition: number of atoms by symbol.
    """
    table, names = oxidation_table(CHARGES), list(composition)
    sets = product(*(table[name] for name in names))
    balanced = [
        charges
        for charges in sets
        if sum(composition[name] * q for name, q in zip(names, charges, strict=True)) == 0
    ]
    return dict(zip(names, balanced[0], strict=True)) if len(balanced) == 1 else None


def count_charges(composition: Tensor) -> dict[str, dict[str, dict[int, int]]]:
    """Number of formulas by anion, element and positive charge.

    Args:
        composition: (n, atomic numbers) int64 counts.
    """
    counts: Counter[tuple[str, str, int]] = Counter()
    for row in composition.tolist():
        charges = charges_of({SYMBOLS[number]: n for number, n in enumerate(row) if n})
        negative = [name for name, charge in (charges or {}).items() if charge < 0]
        if charges and len(negative) == 1 and negative[0] in ANIONS:
            counts.update((negative[0], name, charge) for name, charge in charges.items() if charge > 0)
    table: dict[str, dict[str, dict[int, int]]] = {anion: {} for anion in ANIONS}
    for anion, name, charge in sorted(counts):
        table[anion].setdefault(name, {})[charge] = counts[anion, name, charge]
    return table


def main() -> None:
    """Write the table to the path of the first argument, else into the package."""
    own = Path(anion_charges.__file__).with_name(TABLE_NAME)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else own
    hull = ReferenceHull.from_weights()
    write_text(path, json.dumps(count_charges(hull.composition)) + "\n")


if __name__ == "__main__":
    main()
