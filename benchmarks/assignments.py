"""Wyckoff assignments of MP-20 val: crystals rebuilt, recall of the true letters, and speed. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.assignments data=FILE.parquet [weights=assignments] [n=2000]

FILE holds crystals in the package's schema with the column ``mp20_split``; n of those of val are taken at random.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.structures.convert import iterate_arrays
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures, find_space_groups
from gflownet_crystal.training.energies.labelled import read_labelled
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.generators.assignment_task import AssignmentTask, RankedCrystals, recall

_DEFAULTS = {"weights": "assignments", "n": "2000"}
_ROUND_TRIP = 0.05


def round_trip(structures: StructureBatch) -> dict[str, float]:
    """Share of crystals that are rebuilt within 0.05 Å from positions and parameters, and crystals a second."""
    conventional = conventional_structures(structures)
    start = time.perf_counter()
    occupied = occupied_positions(conventional)
    seconds = time.perf_counter() - start
    made = occupied.structures(conventional.cell, conventional.space_group)
    pairs = zip(iterate_arrays(conventional), iterate_arrays(made), strict=True)
    shifts = np.array([_largest_shift(cell, *first, *second) for (cell, *first), (_, *second) in pairs])
    return {
        "round_trip": float((shifts < _ROUND_TRIP).mean()),
        "largest_shift_angstrom": float(shifts[np.isfinite(shifts)].max()),
        "crystals_per_second": len(structures) / seconds,
    }


def _largest_shift(
    cell: np.ndarray, numbers: np.ndarray, points: np.ndarray, others: np.ndarray, ends: np.ndarray
) -> float:
    if len(numbers) != len(others):
        return np.inf
    difference = points[:, None] - ends
    distance = np.linalg.norm((difference - difference.round()) @ cell, axis=2)
    distance[numbers[:, None] != others] = np.inf
    return float(max(distance.min(0).max(), distance.min(1).max()))


def ranking(crystals: OccupiedSpecs, ranker: RankedAssignments) -> dict[str, object]:
    """Recall of the true letters up to the normaliser, in all and with free coordinates, and specs a second."""
    start = time.perf_counter()
    ranker.best(crystals.specs, 20)
    seconds = time.perf_counter() - start
    known = RankedCrystals(crystals)
    known.list_by(ranker.lister)
    places = AssignmentTask(ranker.ranker, known, known).places()
    table = known.row.where(known.row >= 0, torch.iinfo(torch.int64).max)
    freedom = _free_parameters(crystals)
    seen = [ranker.lister.table.seen(key) for key in known.keys]
    is_seen = torch.tensor([truth in found for truth, found in zip(known.truth, seen, strict=True)])
    apart = {
        label: {"n": int(chosen.sum()), **recall(places[chosen])}
        for label, chosen in {
            "key not in the table": torch.tensor([not found for found in seen]),
            "assignment not in the table": ~is_seen,
            "assignment in the table": is_seen,
            "no free parameters": freedom == 0,
            "1-2 free parameters": (freedom >= 1) & (freedom <= 2),
            "3-5 free parameters": (freedom >= 3) & (freedom <= 5),
            "6 or more free parameters": freedom >= 6,
        }.items()
        if bool(chosen.any())
    }
    return {
        "n": len(crystals),
        "specs_per_second": len(crystals) / seconds,
        "ranker": recall(places),
        "table": recall(table),
        "listed": float((known.row >= 0).double().mean()),
        "apart": apart,
    }


def _free_parameters(crystals: OccupiedSpecs) -> Tensor:
    freedom = torch.from_numpy(wyckoff_table().degrees_of_freedom.astype(np.int64))
    orbits = crystals.occupied
    return torch.zeros(len(crystals), dtype=torch.int64).index_add_(
        0, orbits.structure, freedom[orbits.position]
    )


def main(arguments: list[str]) -> None:
    """Print all figures as JSON."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    torch.set_num_threads(1)
    data = read_labelled([Path(options["data"])], one_scheme=False)
    chosen = np.flatnonzero(data.split == "val")
    order = np.random.default_rng(0).permutation(len(chosen))[: int(options["n"])]
    structures = data.structures[torch.from_numpy(np.sort(chosen[order]))]
    structures = structures[find_space_groups(structures) > 0]
    figures = {
        "crystals": round_trip(structures),
        "ranking": ranking(OccupiedSpecs.of(structures)[0], RankedAssignments.load(options["weights"])),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    run(main)
