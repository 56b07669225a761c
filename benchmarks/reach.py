"""How much of known chemistry the default options admit and the masks reach, and how much of random compositions.

    OMP_NUM_THREADS=1 python -m benchmarks.reach data=FILE.parquet [n=0]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``; n of them are taken at random,
all with n=0. Prints one JSON object:

* ``admitted``: share of known compositions with an anion that are neutral under the default options;
* ``admitted_random``: the same of random compositions of 2 to 5 of the same elements with counts 1 to 8;
* ``reached``: of the known crystals whose conventional composition is a valid whole in the space of the 89 elements
  (neutral, within its ranges, on the group's Wyckoff positions), the share that the masks reach;
* ``in_box``: of those reached, the share whose lattice lies in the box;
* ``with_options``: Fe3O4 and the intermetallic Mg2Ni under mixed valence and metallic.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.masks import build
from benchmarks.options import read_options, run
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.data.standardize import standard_cells
from gflownet_crystal.envs.composition_lookahead import LookAhead
from gflownet_crystal.envs.composition_partial import partial_of
from gflownet_crystal.envs.composition_tables import CompositionTables
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.structures.spec import CrystalSpec

ANION_FORMERS = ("H", "C", "N", "O", "F", "P", "S", "Cl", "As", "Se", "Br", "Sb", "Te", "I")
_CHUNK = 2000


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


def is_neutral(counts: Tensor, elements: Sequence[str], **options: Any) -> Tensor:
    """(n,) bool under the package's default options, from reduced counts (n, E)."""
    # elements without states are tolerated here, and refused one composition at a time
    model = ChargeModel(elements, max_count=int(counts.max()), metallic=True)
    model.metallic = bool(options.get("metallic", False))
    return torch.cat([model.neutral(part) for part in counts.split(_CHUNK)])


def random_compositions(n: int, n_elements: int, seed: int) -> Tensor:
    """(n, E) int64: 2 to 5 random elements, each with a count of 1 to 8."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.randint(2, 6, (n, 1), generator=generator)
    order = torch.rand(n, n_elements, generator=generator).argsort(dim=1).argsort(dim=1)
    return torch.randint(1, 9, (n, n_elements), generator=generator) * (order < size)


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


def main(arguments: list[str]) -> None:
    """Read, count, print."""
    options = read_options(__doc__, {"n": "0"}, arguments, required=["data"])
    torch.set_num_threads(1)
    frame = pd.read_parquet(options["data"], columns=["atomic_numbers", "frac_coords", "lattice"])
    if n := int(options["n"]):
        frame = frame.sample(min(n, len(frame)), random_state=0)
    specs = conventional_specs(frame)
    present = specs.composition.sum(dim=0).nonzero().squeeze(1)
    elements = [SYMBOLS[number] for number in present.tolist()]
    anions = torch.zeros(N_ATOMIC_NUMBERS, dtype=torch.bool)
    anions[[SYMBOLS.index(symbol) for symbol in ANION_FORMERS]] = True
    with_anion = ((specs.composition > 0) & anions).any(dim=1)
    known = reduce_composition(specs.composition)[with_anion][:, present]
    several = (known > 0).sum(dim=1) > 1
    random = random_compositions(5000, len(elements), seed=0)
    result: dict[str, Any] = {
        "crystals": len(specs),
        "with_anion": int(several.sum()),
        "admitted": round(is_neutral(known[several], elements).double().mean().item(), 4),
        "admitted_random": round(is_neutral(random, elements).double().mean().item(), 4),
        **reached_share(build("crystal_89"), specs),
    }
    magnetite = is_neutral(torch.tensor([[3, 4]]), ["Fe", "O"])
    alloy = is_neutral(torch.tensor([[2, 1]]), ["Mg", "Ni"], metallic=True)
    print(json.dumps(result | {"with_options": [bool(magnetite), bool(alloy)]}))


if __name__ == "__main__":
    run(main)
