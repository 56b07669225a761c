"""Metrics of structures: Frechet distances over growing noise, and the seconds of each metric. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.evaluate structures=FILE reference=FILE [n=200] [n_reference=500]
        [processes=1] [cache=DIR]

``structures`` and ``reference`` are real crystals, in any form that ``evaluate`` reads. The ladder moves each atom by a
normal number of the stated deviation in A; its features are the network's states or site fingerprints. The time of
coverage is that of the structures' fingerprints, those of the reference being in the cache.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.options import read_options, run
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.evaluation.compared_sets import Choices, Evaluation
from gflownet_crystal.evaluation.frechet import frechet_distance
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.evaluation.structure_metrics import METRICS
from gflownet_crystal.evaluation.structure_sets import StructureSet, read_set
from gflownet_crystal.structures.structure import StructureBatch

_DEFAULTS = {"n": "200", "n_reference": "500", "processes": "1", "cache": ""}
LADDER = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)


def rattled(structures: StructureBatch, amount: float) -> StructureBatch:
    """Atoms moved by normal numbers of a deviation in A."""
    generator = torch.Generator().manual_seed(0)
    moves = amount * torch.randn(structures.fractional.shape, generator=generator, dtype=torch.float64)
    inverse = torch.linalg.inv(structures.cell)[structures.structure_index]
    return replace(structures, fractional=structures.fractional + torch.einsum("ni,nij->nj", moves, inverse))


def ladder(made: StructureSet, reference: StructureSet, work: Work, features: str) -> dict[str, Any]:
    """Frechet distance to the reference, and to the structures themselves as they were, by the noise."""
    found: dict[str, dict[str, float]] = {"to_reference": {}, "to_themselves": {}}
    clean = None
    for amount in LADDER:
        noisy = replace(made, structures=rattled(made.structures, amount))
        evaluation = Evaluation(noisy, reference, Choices(), work)
        both = evaluation.fingerprints if features == "sites" else evaluation.states
        mine, others = (side.tensors[features][side.done] for side in both)
        clean = mine if clean is None else clean
        found["to_reference"][str(amount)] = frechet_distance(mine, others)
        found["to_themselves"][str(amount)] = frechet_distance(mine, clean)
    return found


def seconds(made: StructureSet, reference: StructureSet, work: Work) -> dict[str, float]:
    """Of each metric, features of the reference being known."""
    known = Evaluation(reference.head(1), reference, Choices(), work)
    _ = known.fingerprints, known.states
    found = {}
    for name, metric in METRICS.items():
        evaluation = Evaluation(made, reference, Choices(), work, made)
        start = time.perf_counter()
        metric(evaluation)
        found[name] = round(time.perf_counter() - start, 2)
    return found


def main(arguments: list[str]) -> None:
    """Read the arguments and print the results."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["structures", "reference"])
    made = read_set(options["structures"]).head(int(options["n"]))
    reference = read_set(options["reference"]).head(int(options["n_reference"]))
    with tempfile.TemporaryDirectory() as folder:
        work = Work(LocalProcesses(int(options["processes"])), Path(options["cache"] or folder))
        figures: dict[str, Any] = {"structures": len(made), "reference": len(reference)}
        figures["seconds"] = seconds(made, reference, work)
        figures["frechet_over_noise"] = {
            name: ladder(made, reference, work, name) for name in ("states", "sites")
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    run(main)
