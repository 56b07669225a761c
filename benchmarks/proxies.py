"""Figures of the shipped proxies. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.proxies data=PREPARED.parquet [tests=TEST.parquet,TEST.parquet]

PREPARED is the training data after ``prepare_data``: the formulas that training kept apart are found in it
again. Printed are: specs per second, errors on MP-20 val with and without the formulas that MP-20's train shares,
on crystals with MatBench labels of formulas kept apart, on the test files, dependence on the lattice, and the
hull's error.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.options import names, read_options, run
from benchmarks.volume import fit_volume_regressor
from gflownet_crystal.data.label_schemes import is_legacy, to_one_scheme
from gflownet_crystal.data.prepare import labelled_crystals, load_prepared
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.mlp_paper import PaperMLPProxy
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.mlp_recipe import validation_figures
from gflownet_crystal.training.proxies.mlp_validation import error_figures
from gflownet_crystal.training.proxies.recipe import Parts, split_table

HOLDOUT = 0.04
N_TIMED = 10_000


def specs_per_second(proxy: Proxy, specs: CrystalSpec) -> float:
    """Best of three runs on N_TIMED specs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        proxy(specs)
        times.append(time.perf_counter() - start)
    return len(specs) / min(times)


def shared_formula_figures(proxy: Proxy, table: pd.DataFrame) -> dict[str, object]:
    """MP-20 val errors with and without the formulas that MP-20's own train holds too."""
    formulas = reduced_formulas(table)
    split = table["mp20_split"].to_numpy()
    validation = (split == "val") & (table["strain"] == "").to_numpy()
    shared = np.isin(formulas, np.unique(formulas[(split == "train")]))
    rows = {"shared_with_train": validation & shared, "not_shared": validation & ~shared}
    return {name: error_figures(proxy, table[mask].reset_index(drop=True)) for name, mask in rows.items()}


def matbench_figures(proxy: Proxy, parts: Parts) -> dict[str, object]:
    """Errors on crystals with MatBench's labels (brought to one scheme) whose formulas were kept apart."""
    rows = labelled_crystals(parts.holdout, "the holdout")
    rows = rows[is_legacy(rows["energy_source"])].reset_index(drop=True)
    specs = frame_to_specs(rows)
    kept = is_plausible(specs.fractions, specs.volume_per_atom)
    figures = error_figures(proxy, rows[kept].reset_index(drop=True))
    return {**figures, "blown_up_records_left_out": int((~kept).sum())}


def hull_error(parts: Parts) -> dict[str, float]:
    """Error of the energy above hull where it is known, and the time that many new compositions take."""
    rows = parts.validation[parts.validation["e_above_hull"].notna()]
    specs = frame_to_specs(rows)
    energy = torch.from_numpy(rows["formation_energy_per_atom"].to_numpy(dtype=np.float64).copy())
    hull = LearnedHull.from_weights()
    start = time.perf_counter()
    above = hull.e_above_hull(specs, energy).numpy()
    seconds = time.perf_counter() - start
    error = np.abs(above - rows["e_above_hull"].to_numpy(dtype=np.float64))
    return {"n": len(rows), "mae": error.mean(), "median": float(np.median(error)), "seconds": seconds}


def main(arguments: list[str]) -> None:
    """Print the figures of every shipped proxy."""
    options = read_options(__doc__, {"tests": ""}, arguments, required=["data"])
    torch.set_num_threads(1)
    table = to_one_scheme(pd.read_parquet(options["data"]))
    parts = split_table(table, HOLDOUT)
    timed = frame_to_specs(parts.validation.sample(N_TIMED, replace=True, random_state=0))
    proxies: dict[str, Proxy] = {"mlp": MLPProxy(), "mlp_paper": PaperMLPProxy()}
    report: dict[str, object] = {}
    for name, proxy in proxies.items():
        report[name] = {
            "specs_per_second": specs_per_second(proxy, timed),
            "shared": shared_formula_figures(proxy, table),
            "matbench_formula_disjoint": matbench_figures(proxy, parts),
            "tests": {
                Path(path).name: error_figures(proxy, labelled_crystals(load_prepared([path]), path))
                for path in names(options, "tests")
            },
            "validation": validation_figures(proxy, parts),
        }
    regressor = fit_volume_regressor(parts.train)
    report["hull"] = hull_error(parts)
    report["volume_regressor"] = {
        "median_error": regressor.validation_median_error,
        "within_10_percent": regressor.validation_within_10_percent,
    }
    print(json.dumps(report, indent=2, default=float))


if __name__ == "__main__":
    run(main)
