"""Candidates of runs before and after relaxation, by the potential that relaxed. Prints a table and one JSON object.

    python -m benchmarks.judged names=NAME,... pipelines=DIR,... [hull=FILE.parquet]

Of each run a name for the table and DIR that ``pipeline run=RUN out=DIR relax=K`` made, in the same order.
Energies are formation energies in eV/atom, medians over the candidates that were relaxed to the end or nearly so: by
the proxy for the spec, and by the potential for the atoms as placed and as relaxed. ``spread``
is the median absolute difference between prediction and the potential's relaxed energy once the median difference is
taken off. Relaxed energies are also given above the learned hull or, with ``hull``, that of a reference set, with the
share of all candidates within 0.1 eV/atom; ``formulas`` counts different reduced formulas.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.proxies.hull import NEAR_HULL, Hull
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.report.run_files import OUTCOMES
from gflownet_crystal.structures.spec_io import frame_to_specs


def judged(folder: Path, hull: Hull) -> dict[str, float]:
    """Figures of one run.

    Raises:
        DataError: the folder has no table of candidates, or nothing in it was relaxed.
    """
    table = pd.read_csv(folder / "candidates.csv")
    ended = table[table["relaxer_after"].notna()] if "relaxer_after" in table else table[:0]
    if ended.empty:
        raise DataError(f"{folder}/candidates.csv has no relaxed candidates; make them with pipeline relax=K")
    difference = ended["relaxer_after"] - ended["energy"]
    energy = torch.from_numpy(ended["relaxer_after"].to_numpy(dtype=np.float64).copy())
    specs = frame_to_specs(ended)
    above = hull.e_above_hull(specs, energy).numpy()
    tried = table["status"].isin(OUTCOMES.values()).sum()
    figures = {
        "relaxed": (table["status"] == OUTCOMES["converged"]).sum(),
        "not_converged": (table["status"] == OUTCOMES["not_converged"]).sum(),
        "failed": (table["status"] == OUTCOMES["failed"]).sum(),
        "predicted": ended["energy"].median(),
        "potential_as_placed": table["relaxer_before"].median(),
        "potential_relaxed": ended["relaxer_after"].median(),
        "relaxed_minus_predicted": difference.median(),
        "spread": (difference - difference.median()).abs().median(),
        "spearman": ended["energy"].corr(ended["relaxer_after"], method="spearman"),
        "above_hull": np.median(above),
        "within_0.1": (above <= NEAR_HULL).sum() / tried,
        "volume_change": ended["volume_change"].median(),
        "length_change": ended["length_change"].median(),
        "rms_displacement": ended["rms_displacement"].median(),
        "formulas": len(set(specs.reduced_formulas())),
        "elements": (specs.composition > 0).any(0).sum(),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def main(arguments: list[str]) -> None:
    """Read the arguments and print the table."""
    options = read_options(__doc__, {"hull": ""}, arguments, required=("names", "pipelines"))
    chosen, folders = names(options, "names"), names(options, "pipelines")
    if len(chosen) != len(folders):
        raise ConfigError("names and pipelines must be lists of the same length")
    hull = ReferenceHull.read(options["hull"]) if options["hull"] else LearnedHull.from_weights()
    report = {name: judged(Path(folder), hull) for name, folder in zip(chosen, folders, strict=True)}
    print(pd.DataFrame(report).to_string())
    print(json.dumps(report))


if __name__ == "__main__":
    run(main)
