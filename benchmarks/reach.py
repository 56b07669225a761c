"""Share of known and of random compositions that an oxidation table admits and the masks reach.

    OMP_NUM_THREADS=1 python -m benchmarks.reach data=FILE.parquet [table=default] [mixed_valence=true] [n=0]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``; n of them are taken at random,
all with n=0. Prints one JSON object:

* ``admitted``: share of known compositions with an anion that are neutral by the table;
* ``admitted_random``: the same of random compositions of 2 to 5 of the same elements with counts 1 to 8;
* ``distinct_admitted``: share of distinct known formulas with at least one of N O F P S Cl Se Br I;
* ``distinct_admitted_more_anions``: the same with H C As Te among the anions;
* ``frequent_random_admitted``: share of random compositions of 2 to 5 elements, drawn with the frequencies and reduced
  counts that the elements have in the distinct known formulas;
* ``reached``: of the known crystals whose conventional composition is a valid whole in the space of the 89 elements
  (neutral, within its ranges, on the group's Wyckoff positions), the share that the masks reach;
* ``in_box``: of those reached, the share whose lattice lies in the box;
* ``with_options``: Fe3O4 and the intermetallic Mg2Ni under mixed valence and metallic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.masks import build
from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.crystallography.charge import is_neutral
from gflownet_crystal.crystallography.oxidation import TABLES
from gflownet_crystal.data.standardize import standard_cells
from gflownet_crystal.envs.composition.lookahead import LookAhead
from gflownet_crystal.envs.composition.partial import partial_of
from gflownet_crystal.envs.composition.tables import CompositionTables
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.structures.spec import CrystalSpec

COMMON_ANIONS = ("N", "O", "F", "P", "S", "Cl", "Se", "Br", "I")
MORE_ANIONS = (*COMMON_ANIONS, "H", "C", "As", "Te")
ANION_FORMERS = (*MORE_ANIONS, "Sb")
N_RANDOM = 5000


def conventional_specs(frame: pd.DataFrame) -> CrystalSpec:
    """Specs of the rows whose symmetry is found."""
    numbers = [np.asarray(row) for row in frame["atomic_numbers"]]
    cells = standard_cells(np.stack(list(frame["lattice"])), numbers, list(frame["frac_coords"]))
    found = cells.space_group > 0
    parameters = torch.from_numpy(cells.parameters[found])
    return CrystalSpec(
        torch.from_numpy(cells.space_group[found]),
        torch.from_numpy(cells.counts[found].astype(np.int64)),
        parameters[:, :3].contiguous(),
        parameters[:, 3:].contiguous(),
    )


def with_anion(compositions: Tensor, anions: Sequence[str]) -> Tensor:
    """(n,) bool; compositions (n, atomic numbers) of several elements, one of them among the anions."""
    present = compositions > 0
    numbers = [SYMBOLS.index(symbol) for symbol in anions]
    return present[:, numbers].any(dim=1) & (present.sum(dim=1) > 1)


def random_compositions(n: int, n_elements: int, seed: int) -> Tensor:
    """(n, E) int64: 2 to 5 random elements, each with a count of 1 to 8."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.randint(2, 6, (n, 1), generator=generator)
    order = torch.rand(n, n_elements, generator=generator).argsort(dim=1).argsort(dim=1)
    return torch.randint(1, 9, (n, n_elements), generator=generator) * (order < size)


def frequent_compositions(n: int, known: Tensor, seed: int) -> Tensor:
    """(n, E) int64: 2 to 5 different elements, by their frequencies and with their counts in ``known`` (k, E)."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.randint(2, 6, (n, 1), generator=generator)
    frequencies = (known > 0).sum(dim=0).double()
    chosen = torch.multinomial(frequencies.expand(n, -1), 5, generator=generator)
    found = torch.zeros(n, known.shape[1], dtype=torch.int64)
    chosen, row = (
        chosen[torch.arange(5) < size],
        torch.arange(n)[:, None].expand(-1, 5)[torch.arange(5) < size],
    )
    for element in chosen.unique().tolist():
        rows, counts = row[chosen == element], known[known[:, element] > 0, element]
        found[rows, element] = counts[torch.randint(len(counts), (len(rows),), generator=generator)]
    return found


def reached_share(env: Crystal, specs: CrystalSpec) -> dict[str, float]:
    """Share of the specs that are valid wholes in the space that the masks reach; of those, share in the box."""
    tables = CompositionTables(env.rules)
    look = LookAhead(env.rules, tables)
    counts = specs.composition[:, env.atomic_numbers]
    small = (counts <= env.rules.max_count).all(dim=1) & (counts.sum(dim=1) == specs.n_atoms)
    few = ((counts > 0).sum(dim=1) <= env.rules.most_elements) & (specs.n_atoms <= env.rules.n_atoms[1])
    rows = (small & few).nonzero().squeeze(1)
    partial = partial_of(tables, specs.space_group[rows], torch.ones(231, dtype=torch.int64), counts[rows])
    rows = rows[look.closed(partial)]
    reached = env.composition.reached(counts[rows], specs.space_group[rows])
    inside = env.encode(specs[rows[reached]])[1]
    return {
        "within_ranges": round((small & few).double().mean().item(), 4),
        "valid": len(rows),
        "not_reached": int((~reached).sum()),
        "reached": round(reached.double().mean().item(), 6),
        "in_box": round(inside.double().mean().item(), 5),
    }


def chemistry_of(options: Mapping[str, str]) -> dict[str, Any]:
    """``oxidation_table`` and ``mixed_valence`` as the options ``table`` and ``mixed_valence`` have them.

    Raises:
        ConfigError: a table that does not exist, or mixed_valence neither true nor false.
    """
    table, mixed_valence = options["table"], options["mixed_valence"]
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    if mixed_valence not in ("true", "false"):
        raise ConfigError(f"mixed_valence must be true or false, not {mixed_valence!r}")
    return {"oxidation_table": table, "mixed_valence": mixed_valence == "true"}


def admitted_shares(compositions: Tensor, table: str, mixed_valence: bool) -> dict[str, float]:
    """Shares of known and random compositions that a table admits.

    Args:
        compositions: (n, atomic numbers) int64 of known crystals.
        table: a name in TABLES.
        mixed_valence: whether atoms of an element may differ in their state.
    """
    present = compositions.sum(dim=0).nonzero().squeeze(1)
    elements = [SYMBOLS[number] for number in present.tolist()]
    reduced = reduce_composition(compositions)
    known = reduced[with_anion(reduced, ANION_FORMERS)]
    distinct = torch.unique(reduced, dim=0)

    def share(some: Tensor) -> float:
        return round(is_neutral(some, elements, table, mixed_valence).double().mean().item(), 4)

    return {
        "with_anion": len(known),
        "admitted": share(known[:, present]),
        "admitted_random": share(random_compositions(N_RANDOM, len(elements), seed=0)),
        "distinct_admitted": share(distinct[with_anion(distinct, COMMON_ANIONS)][:, present]),
        "distinct_admitted_more_anions": share(distinct[with_anion(distinct, MORE_ANIONS)][:, present]),
        "frequent_random_admitted": share(frequent_compositions(N_RANDOM, distinct[:, present], seed=0)),
    }


def main(arguments: list[str]) -> None:
    """Read, count, print."""
    defaults = {"n": "0", "table": "default", "mixed_valence": "true"}
    options = read_options(__doc__, defaults, arguments, required=["data"])
    chemistry = chemistry_of(options)
    torch.set_num_threads(1)
    frame = pd.read_parquet(options["data"], columns=["atomic_numbers", "frac_coords", "lattice"])
    if n := int(options["n"]):
        frame = frame.sample(min(n, len(frame)), random_state=0)
    specs = conventional_specs(frame)
    table, mixed_valence = chemistry["oxidation_table"], chemistry["mixed_valence"]
    result = {
        "crystals": len(specs),
        **admitted_shares(specs.composition, table, mixed_valence),
        **reached_share(build("crystal_89", **chemistry), specs),
    }
    magnetite = is_neutral(torch.tensor([[3, 4]]), ["Fe", "O"], table, mixed_valence)
    alloy = is_neutral(torch.tensor([[2, 1]]), ["Mg", "Ni"], table, mixed_valence, metallic=True)
    print(json.dumps(result | {"with_options": [bool(magnetite), bool(alloy)]}))


if __name__ == "__main__":
    run(main)
