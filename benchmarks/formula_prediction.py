"""Structure prediction from formulas alone, on MP-20's val. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.formula_prediction data=FILE.parquet [n=100] [tries=20] [cells=160]
        [group=free] [seed=0] [energies=alignn] [temperature=0.04] [by_prototypes=0.5] [most_atoms=20] [seconds=900]

FILE holds crystals in the package's schema with the column ``mp20_split``; n of those of val are taken at random, as
many as the processor time in ``seconds`` allows. Given are the reduced formula and, with ``group=given``, the
space group. The structures of ``predict`` are compared in their order by pymatgen's StructureMatcher (stol 0.5, ltol
0.3, angle_tol 10):
``first`` is the share of crystals that the first one matches, ``best`` the share that one of ``tries`` matches (as each
formula has structures of its own, METRe over the whole set), ``rmse`` the mean root mean square distance of first ones
that match, ``crmse`` the mean of the smallest distances with 0.5 where none matches. Lines of JSON on standard error
have the structures one by one.
No reduced formula of val is in the training data of the prior, the prototypes or the generator.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core import Structure

from benchmarks.matching import STOL
from benchmarks.options import read_options, run
from benchmarks.structure_prediction import read_specs
from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.predicting import build_predictor
from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.workflows.predicting.predicting import Predictor

FREE, GIVEN = "free", "given"
_DEFAULTS = {"n": "100", "tries": "20", "cells": "160", "group": "free", "seed": "0", "energies": "alignn",
             "temperature": "0.04", "by_prototypes": "0.5", "most_atoms": "20", "seconds": "900"}  # fmt: skip


def predictor_of(options: dict[str, str]) -> Predictor:
    """Predictor of the options."""
    words = [
        f"{name}={options[name]}"
        for name in ("cells", "energies", "temperature", "by_prototypes", "most_atoms")
    ]
    words += ["formula=NaCl", "out=none", f"n={options['tries']}", "device=cpu", "threads=1"]
    return build_predictor(resolved(compose_config("predict", words)))


def compared(predictor: Predictor, formula: str, crystal: Structure) -> list[dict[str, Any]]:
    """The structures of a formula, ranked, with their root mean square distance to a crystal; None without a match."""
    try:
        found = predictor.predict(FormulaPattern.of(formula))
    except EmptySpaceError:
        return []
    if found.structures is None:
        return []
    matcher = Tolerances().matcher()
    made = [matcher.get_rms_dist(crystal, one) for one in to_pymatgen(to_primitive(found.structures))]
    columns = found.frame[["space_group", "probability", "energy_before"]]
    return [
        {**row, "distance": None if one is None else float(one[0])}
        for row, one in zip(columns.to_dict("records"), made, strict=True)
    ]


def figures(rows: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Shares of crystals that match, of the ranked structures of each."""
    first = [found[0]["distance"] if found else None for found in rows]
    best = [min((s["distance"] for s in found if s["distance"] is not None), default=None) for found in rows]
    hits = [one for one in first if one is not None]
    return {
        "crystals": len(rows),
        "first": len(hits) / len(rows),
        "best": float(np.mean([one is not None for one in best])),
        "rmse": float(np.mean(hits)) if hits else None,
        "crmse": float(np.mean([STOL if one is None else one for one in best])),
    }


def main(arguments: list[str]) -> None:
    """Predict, match and print."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    if options["group"] not in (FREE, GIVEN):
        raise ConfigError(f"group is {FREE} or {GIVEN}, not {options['group']!r}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = read_specs(Path(options["data"]), int(options["n"]), int(options["seed"]))
    specs = found.specs
    formulas = composition_to_text(reduce_composition(specs.composition), "", False)
    cell = parameters_to_matrix(specs.lengths, specs.angles)
    crystals = to_pymatgen(to_primitive(found.occupied.structures(cell, specs.space_group)))
    predictor, rows = predictor_of(options), []
    start = time.process_time()
    for row in np.random.default_rng(int(options["seed"])).permutation(len(specs)).tolist():
        if time.process_time() - start > float(options["seconds"]):
            break
        group = int(specs.space_group[row])
        settings = replace(predictor.settings, space_groups=None if options["group"] == FREE else [group])
        made = compared(replace(predictor, settings=settings), formulas[row], crystals[row])
        rows.append(made)
        print(
            json.dumps({"formula": formulas[row], "space_group": group, "made": made}),
            file=sys.stderr,
            flush=True,
        )
    spent = (time.process_time() - start) / max(1, len(rows))
    print(json.dumps({"options": options, **figures(rows), "seconds_a_formula": round(spent, 2)}, indent=2))


if __name__ == "__main__":
    run(main)
