"""Primitive cells that files of crystals store, against the standard ones. Prints one JSON object.

    python -m benchmarks.stored_cells data=FILE.parquet [n=1000]

For ``n`` crystals of each split of MP-20, spread evenly over it: the share that is stored in the standard primitive
cell (lengths within 0.1 Å and angles within a degree), and mean absolute differences of lengths (Å) and angles
(degrees) between both. A denoiser that learns from crystals of one convention and is validated on those of another is
left with such differences where the positions do not tell the cell. About 15 ms a crystal.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.options import read_options, run
from gflownet_crystal.structures.batching import spread
from gflownet_crystal.structures.standard_cells import standard_primitive_cells
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.denoising_noise import lattice_parameters
from gflownet_crystal.training.energies.labelled import read_labelled


def differences(structures: StructureBatch) -> dict[str, float]:
    """Stored against standard cells of n structures."""
    given = lattice_parameters(structures.cell)
    lengths, angles = (
        (lattice_parameters(standard_primitive_cells(structures).cell) - given).abs().split(3, dim=1)
    )
    standard = (lengths < 0.1).all(1) & (angles < 1.0).all(1)
    return {
        "n": len(structures),
        "standard": standard.double().mean().item(),
        "lengths": lengths.mean().item(),
        "angles": angles.mean().item(),
    }


def main(arguments: list[str]) -> None:
    """Read, compare and print."""
    options = read_options(__doc__, {"n": "1000"}, arguments, required=["data"])
    labelled = read_labelled([Path(options["data"])])
    shown: dict[str, object] = {"options": options}
    for split in np.unique(labelled.split):
        rows = torch.from_numpy(np.flatnonzero(labelled.split == split))
        shown[split] = differences(labelled.structures[rows[spread(len(rows), int(options["n"]) or None)]])
    print(json.dumps(shown))


if __name__ == "__main__":
    run(main)
