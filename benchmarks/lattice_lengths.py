"""Errors of lattices that a generator made, against those of its specs' crystals. Prints one JSON object.

    python -m benchmarks.lattice_lengths structures=FILE.parquet specs=FILE.parquet

For generators that choose the lattice themselves, as ``generator=langevin_paper`` does from a group and elements. The
first FILE is the output of ``generate``, conventional cells with the row of their spec; the second is its ``specs=``, a
table of specs or crystals, whose lattices the generator has not seen. Errors are of the conventional lengths a, b and
c: absolute in Å and relative to the true ones, with quantiles of the ratio of volumes an atom. Beside them, as
``another``, are the errors of the lattice of another spec of the same crystal-lattice system taken at random.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.crystallography.space_groups import crystal_lattice_system_of_group
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.placing.generating import specs_of

_QUANTILES = (0.05, 0.5, 0.95)


def errors(lengths: Tensor, true: Tensor) -> dict[str, float]:
    """Errors of lattice lengths (n, 3) in A."""
    off = (lengths - true).abs()
    relative = off / true
    return {
        "mean": off.mean().item(),
        "root_mean_square": off.square().mean().sqrt().item(),
        "median": off.median().item(),
        "mean_relative": relative.mean().item(),
        "within_0.05": (relative.amax(1) <= 0.05).double().mean().item(),
    }


def another_of(kinds: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """For each row another row of its kind, itself where it is alone: the next one in a random order."""
    random = np.random.default_rng(seed)
    result = np.empty(len(kinds), dtype=np.int64)
    for kind in np.unique(kinds):
        rows = random.permutation(np.flatnonzero(kinds == kind))
        result[rows] = np.roll(rows, 1)
    return result


def main(arguments: list[str]) -> None:
    """Read, compare and print."""
    options = read_options(__doc__, {}, arguments, required=["structures", "specs"])
    frame = read_parquet(Path(options["structures"]))
    if "row" not in frame:
        raise DataError(f"{options['structures']} has no column row: give the output of generate")
    specs = frame_to_specs(specs_of(Path(options["specs"])))
    rows = torch.from_numpy(frame["row"].to_numpy(dtype=np.int64).copy())
    if len(rows) == 0 or int(rows.max()) >= len(specs):
        raise DataError(
            f"{options['structures']} was not made of the {len(specs)} specs of {options['specs']}"
        )
    made = frame_to_structures(frame)
    lengths, _ = matrix_to_parameters(made.cell)
    true = specs.lengths[rows]
    kinds = crystal_lattice_system_of_group[specs.space_group[rows].numpy()]
    ratio = (made.volume / made.n_atoms) / specs.volume_per_atom[rows]
    print(
        json.dumps(
            {
                "n": len(made),
                "specs": len(specs),
                "lengths": errors(lengths, true),
                "another": errors(true[torch.from_numpy(another_of(kinds))], true),
                "volume_ratio": {
                    str(at): value
                    for at, value in pd.Series(ratio.numpy()).quantile(list(_QUANTILES)).items()
                },
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    run(main)
