"""Fit the elements' volumes to known crystals.

    python -m gflownet_crystal.envs.lattice.build_elemental_volumes data=FILE.parquet out=FILE.json

Nonnegative least squares of the volume per atom on atomic fractions, reweighted to relative residuals with outliers
turned down. ``data`` is a Parquet file with ``atomic_numbers`` and ``lattice`` (a, b, c in Å; angles in degrees).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.programs import read_options, run
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS, SYMBOLS

MINIMUM_CRYSTALS = 10
"""Elements in fewer crystals are left to the fallback."""

_ITERATIONS = 10
_OUTLIER = 0.1
_VOLUMES = (5.0, 80.0)


def fit_elemental_volumes(
    fractions: NDArray[np.float64], volume_per_atom: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Volumes v >= 0 with ``fractions @ v`` near ``volume_per_atom`` on a relative scale.

    Args:
        fractions: (n, 119) by atomic number.
        volume_per_atom: (n,) Å^3.
    """
    volumes, _ = nnls(fractions, volume_per_atom)
    for _ in range(_ITERATIONS):
        predicted = np.maximum(fractions @ volumes, 1.0)
        residual = np.abs(np.log(volume_per_atom / predicted))
        weight = 1.0 / predicted / np.sqrt(np.maximum(1.0, residual / _OUTLIER))
        volumes, _ = nnls(fractions * weight[:, None], volume_per_atom * weight)
    return volumes


def main(arguments: list[str]) -> None:
    """Read, fit, write."""
    options = read_options(__doc__, {}, arguments, required=["data", "out"])
    frame = pd.read_parquet(options["data"], columns=["atomic_numbers", "lattice"])
    counts = np.stack(
        [np.bincount(numbers, minlength=N_ATOMIC_NUMBERS) for numbers in frame["atomic_numbers"]]
    )
    n_atoms = counts.sum(axis=1)
    parameters = np.stack(list(frame["lattice"]))
    cosines = np.cos(np.radians(parameters[:, 3:]))
    closure = 1.0 - (cosines**2).sum(axis=1) + 2.0 * cosines.prod(axis=1)
    volume_per_atom = parameters[:, :3].prod(axis=1) * np.sqrt(closure) / n_atoms
    usual = (volume_per_atom > _VOLUMES[0]) & (volume_per_atom < _VOLUMES[1])
    volumes = fit_elemental_volumes((counts / n_atoms[:, None])[usual], volume_per_atom[usual])
    known = (counts[usual] > 0).sum(axis=0) >= MINIMUM_CRYSTALS
    table = {SYMBOLS[number]: round(float(volumes[number]), 2) for number in np.nonzero(known)[0]}
    write_json(Path(options["out"]), table)


if __name__ == "__main__":
    run(main)
