"""Judges against published distances to the hull of others' generated crystals. Prints a table and one JSON object.

    python -m benchmarks.calibrate_judges data=FILE published=COLUMN judges=NAME[:VERSION],... [hull=HULL] [n=N]

FILE, Parquet, holds relaxed crystals in the package's schema and, in COLUMN, their published energies above the hull
of all known compounds, in eV/atom. Each judge gives a single point of every crystal as it is; ``hull`` is one of
``evaluate``. The first ``n`` crystals are taken, or all. Of the crystals that all judges know:

``spearman`` rank correlation with the published distances; ``bias`` median difference, the judge's less the published;
``mae`` mean absolute difference; ``stable`` share at most 0.1 eV/atom above the hull, and ``precision_0.1``,
``precision_0.05`` the share of those that the judge calls stable at a threshold and whose published distance is at
most that.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.known_hulls import known_hull
from gflownet_crystal.evaluation.stability import energy_above_hull
from gflownet_crystal.evaluation.structure_sets import StructureSet, read_set
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.hull import NEAR_HULL
from gflownet_crystal.structures.primitive import to_primitive

THRESHOLDS = (NEAR_HULL, NEAR_HULL / 2)


def published_crystals(path: Path, column: str, n: int | None) -> tuple[StructureSet, NDArray[np.float64]]:
    """Crystals and their published distances to the hull, eV/atom.

    Raises:
        DataError: there is no such column.
    """
    frame = pd.read_parquet(path)
    if column not in frame.columns:
        raise DataError(f"{path} has no column {column}; it has {', '.join(map(str, frame.columns))}")
    crystals = read_set(path)
    if n is not None and n < len(frame):
        crystals = crystals.head(n)
    return crystals, frame[column].to_numpy(dtype=np.float64)[crystals.rows.numpy()]


def figures(above: NDArray[np.float64], published: NDArray[np.float64]) -> dict[str, float]:
    """Agreement of distances to the hull with published ones, both (n,) in eV/atom."""
    ranks = pd.Series(above).corr(pd.Series(published), method="spearman")
    found = {
        "spearman": ranks,
        "bias": np.median(above - published),
        "mae": np.abs(above - published).mean(),
        "stable": (above <= NEAR_HULL).mean(),
        "published_stable": (published <= NEAR_HULL).mean(),
    }
    for threshold in THRESHOLDS:
        called = above <= threshold
        found[f"precision_{threshold:g}"] = (
            (published[called] <= threshold).mean() if called.any() else np.nan
        )
    return {name: round(float(value), 4) for name, value in found.items()}


def distances(crystals: StructureSet, judge: str, hull: str, path: Path) -> tuple[Tensor, float]:
    """Energies above the hull (n,) eV/atom by a judge, NaN where it gives none, and seconds of a core for each."""
    start = time.process_time()
    energy, _ = load_energies(judge).predict(to_primitive(crystals.structures))
    seconds = (time.process_time() - start) / len(energy)
    found, _ = known_hull(hull, path)
    return energy_above_hull(crystals.structures.composition, energy, found), seconds


def main(arguments: list[str]) -> None:
    """Judge the crystals and print the table."""
    defaults = {"hull": "reference", "n": "0"}
    options = read_options(__doc__, defaults, arguments, required=("data", "published", "judges"))
    torch.set_num_threads(1)
    path = Path(options["data"])
    crystals, published = published_crystals(path, options["published"], int(options["n"]) or None)
    above, seconds = {}, {}
    for judge in names(options, "judges"):
        found, seconds[judge] = distances(crystals, judge, options["hull"], path)
        above[judge] = found.numpy()
    table = pd.DataFrame(above)
    known = table.notna().all(axis=1).to_numpy() & np.isfinite(published)
    report = {
        judge: figures(table[judge].to_numpy()[known], published[known])
        | {"n": int(known.sum()), "core_seconds": round(seconds[judge], 3)}
        for judge in table
    }
    print(pd.DataFrame(report).to_string())
    print(json.dumps(report))


if __name__ == "__main__":
    run(main)
