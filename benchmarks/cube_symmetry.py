"""Errors of lattices that no equivariant network can avoid which sees the positions in a cube. Prints one JSON object.

    python -m benchmarks.cube_symmetry data=FILE.parquet [n=0] [tolerance=0.01]

A denoiser without ``axes`` turns a cube into the lattice and treats all 48 turns and reflections of the cube in the
same way: the lattice that it makes has every symmetry of the cube that the positions have. Where the crystal's own
lattice lacks one, as primitive cells of ThCr2Si2 do, some error is left even with clean positions. Printed are the
least mean errors of lengths (Å) and angles (degrees) over MP-20's val, or over ``n`` crystals spread evenly over it,
and the share of crystals with such an error of more than a degree. Positions agree within ``tolerance`` (fractional).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.structures.batching import spread
from gflownet_crystal.structures.convert import iterate_arrays
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_dataset, quiet_moyo
from gflownet_crystal.training.energies.denoising_noise import lattice_parameters
from gflownet_crystal.training.energies.labelled import read_labelled

_CUBE = 10.0
"""Edge of the cubes, Å: moyo's tolerance is a distance."""


def least_errors(structures: StructureBatch, tolerance: float) -> Tensor:
    """Least mean errors of the lattice parameters that have the symmetry of the positions in a cube.

    Such a lattice is as far from the crystal's as from its images under the symmetry operations, so the least error of
    a parameter is its mean distance from the median over the images.

    Args:
        structures: n structures.
        tolerance: largest difference of fractional coordinates of equal positions.

    Returns:
        (n, 6) float64: lengths (Å) and angles (degrees).
    """
    found = torch.zeros(len(structures), 6, dtype=torch.float64)
    for row, (cell, numbers, points) in enumerate(iterate_arrays(structures)):
        dataset = find_dataset(_CUBE * np.eye(3), numbers, points, _CUBE * tolerance)
        if dataset is None:
            continue
        rotations = torch.tensor(np.unique(dataset.operations.rotations, axis=0), dtype=torch.float64)
        # the same crystal's lattice vectors, exchanged or reversed
        images = lattice_parameters(rotations.mT @ torch.from_numpy(cell))
        found[row] = (images - images.quantile(0.5, dim=0)).abs().mean(0)
    return found


def main(arguments: list[str]) -> None:
    """Read, compute and print."""
    options = read_options(__doc__, {"n": "0", "tolerance": "0.01"}, arguments, required=["data"])
    labelled = read_labelled([Path(options["data"])])
    structures = labelled.take(labelled.split == "val").structures
    structures = structures[spread(len(structures), int(options["n"]) or None)]
    with quiet_moyo():
        lengths, angles = least_errors(structures, float(options["tolerance"])).split(3, dim=1)
    shown = {
        "options": options,
        "crystals": len(structures),
        "lengths": lengths.mean().item(),
        "angles": angles.mean().item(),
        "share_above_a_degree": (angles.mean(1) > 1.0).double().mean().item(),
    }
    print(json.dumps(shown))


if __name__ == "__main__":
    run(main)
