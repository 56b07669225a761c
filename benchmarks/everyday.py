"""Number of specs that balance with everyday oxidation states, and the others.

    OMP_NUM_THREADS=1 python -m benchmarks.everyday specs=FILE [table=plausible] [mixed_valence=true] [shown=20]

FILE is a spec file, as ``sample`` writes. The counts of the conventional cell are balanced, as in the masks. Prints one
JSON object:

* ``balanced``: share of the specs that balance;
* ``metallic``: share of those that do not, but are single elements or metals only, and pass with ``metallic=true``;
* ``unbalanced``: share of those that do neither;
* ``unbalanced_formulas``: the first ``shown`` distinct reduced formulas of those;
* ``unbalanced_with``: of the specs that hold an element, the share that is unbalanced, for the ten elements that most
  of the unbalanced hold.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from benchmarks.options import read_options, run
from benchmarks.reach import chemistry_of
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.charge import is_neutral
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs


def judged(compositions: Tensor, table: str, mixed_valence: bool) -> tuple[Tensor, Tensor]:
    """Which compositions balance, and which pass as metals or single elements without.

    Args:
        compositions: (n, atomic numbers) int64 counts.
        table: a name in TABLES.
        mixed_valence: whether atoms of an element may differ in their state, where the table allows it.

    Returns:
        Two (n,) bool; no composition is in both.
    """
    present = compositions.sum(dim=0).nonzero().squeeze(1)
    elements = [SYMBOLS[number] for number in present.tolist()]
    counts = compositions[:, present]
    balanced = is_neutral(counts, elements, table, mixed_valence)
    return balanced, is_neutral(counts, elements, table, mixed_valence, metallic=True) & ~balanced


def report(compositions: Tensor, table: str, mixed_valence: bool, shown: int) -> dict[str, Any]:
    """The JSON object of the program."""
    balanced, metallic = judged(compositions, table, mixed_valence)
    unbalanced = ~balanced & ~metallic
    holds = compositions > 0
    n_unbalanced = (holds & unbalanced[:, None]).sum(dim=0)
    worst = [int(z) for z in n_unbalanced.argsort(descending=True, stable=True)[:10] if n_unbalanced[z]]
    formulas = (
        composition_to_text(reduce_composition(compositions[unbalanced])) if bool(unbalanced.any()) else []
    )
    return {
        "specs": len(compositions),
        "balanced": _share(balanced),
        "metallic": _share(metallic),
        "unbalanced": _share(unbalanced),
        "unbalanced_formulas": list(dict.fromkeys(formulas))[:shown],
        "unbalanced_with": {
            SYMBOLS[z]: round(int(n_unbalanced[z]) / int(holds[:, z].sum()), 3) for z in worst
        },
    }


def _share(which: Tensor) -> float:
    return round(which.double().mean().item(), 4)


def main(arguments: list[str]) -> None:
    """Read, judge, print."""
    defaults = {"table": "plausible", "mixed_valence": "true", "shown": "20"}
    options = read_options(__doc__, defaults, arguments, required=["specs"])
    chemistry = chemistry_of(options)
    torch.set_num_threads(1)
    specs = frame_to_specs(read_specs(options["specs"]))
    if not len(specs):
        raise DataError(f"{options['specs']} holds no spec; give a file of at least one")
    table, mixed_valence = chemistry["oxidation_table"], chemistry["mixed_valence"]
    print(json.dumps(report(specs.composition, table, mixed_valence, int(options["shown"]))))


if __name__ == "__main__":
    run(main)
