"""Structure prediction from formulas alone, on MP-20's val. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.formula_prediction data=FILE.parquet [n=100] [tries=20] [listed=200]
        [group=free] [seed=0] [templates=40] [cells=64] [energies=alignn] [temperature=0.04] [by_prototypes=0.5]
        [most_atoms=20] [prototypes=prototypes] [relax=0] [relax_steps=40] [seconds=900]

FILE holds crystals in the package's schema with the column ``mp20_split``; n of those of val are taken at random, as
many as the processor time in ``seconds`` allows. Given are the reduced formula and, with ``group=given``, the
space group. The structures of ``predict`` are compared in their order by pymatgen's StructureMatcher (stol 0.5, ltol
0.3, angle_tol 10):
``first`` is the share of crystals that the first one matches, ``best`` the share that one of ``tries`` matches (plain
match rates), ``metre`` the share that one of ``tries`` structures of any crystal of the set matches (METRe), ``rmse``
the mean root mean square distance of first ones that match, ``crmse`` the mean of the smallest distances with 0.5 where
none matches; ``error_first`` and ``error_best`` are standard errors. ``lost`` says where crystals are
missed: the shares that have, among ``listed`` structures, one of the true group and counts of the conventional cell,
one that also has the true Wyckoff positions, and one that matches; and the shares that match among the first 1, 5 and
20. ``seconds_a_formula`` is the processor time of the prediction alone. Lines of JSON on standard error have the
structures one by one.
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
from gflownet_crystal.generators.prototypes.known import Prototype, prototypes_of
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.workflows.candidates.files import Candidates
from gflownet_crystal.workflows.predicting.predicting import Predictor
from gflownet_crystal.workflows.predicting.starting_structures import placed_specs

FREE, GIVEN = "free", "given"
_OF_PREDICT = {"templates": "40", "cells": "64", "energies": "alignn", "temperature": "0.04", "by_prototypes": "0.5",
               "most_atoms": "20", "prototypes": "prototypes", "relax": "0", "relax_steps": "40"}  # fmt: skip
_DEFAULTS = {"n": "100", "tries": "20", "listed": "200", "group": "free", "seed": "0", "seconds": "900",
             **_OF_PREDICT}  # fmt: skip
_RANKS = 1, 5, 20


def predictor_of(options: dict[str, str]) -> Predictor:
    """Predictor of the options."""
    words = [f"{name}={options[name]}" for name in _OF_PREDICT]
    words += ["formula=NaCl", "out=none", f"n={options['listed']}", "device=cpu", "threads=1"]
    return build_predictor(resolved(compose_config("predict", words)))


def compared(
    found: Candidates, crystal: Structure, name: tuple[int, str], prototype: Prototype
) -> list[dict[str, Any]]:
    """The structures of a formula, ranked, compared to a crystal.

    Args:
        found: the structures.
        crystal: the true one.
        name: its space group and the formula of its conventional cell.
        prototype: its Wyckoff positions.

    Returns:
        For each structure its root mean square distance, None without a match; whether group and counts are the true
        ones, and whether the Wyckoff positions are.
    """
    if found.structures is None:
        return []
    matcher = Tolerances().matcher()
    occupied, specs = placed_specs(found.structures)
    names = prototypes_of(specs.space_group, specs.composition, occupied)
    made = [matcher.get_rms_dist(crystal, one) for one in to_pymatgen(to_primitive(found.structures))]
    columns = found.frame[["space_group", "formula", "probability", "energy_before"]].to_dict("records")
    return [
        {
            **row,
            "distance": None if one is None else float(one[0]),
            "pair": (row["space_group"], row["formula"]) == name,
            "prototype": own == prototype,
        }
        for row, one, own in zip(columns, made, names, strict=True)
    ]


def figures(rows: list[list[dict[str, Any]]], tries: int) -> dict[str, Any]:
    """Shares of crystals that match, of the ranked structures of each.

    METRe equals the plain rate among all tries: only structures of a formula match its crystals, and these have the
    same structures; with given groups it is at least that rate.
    """
    distances = [[one["distance"] for one in found] for found in rows]
    best = [min((d for d in own[:tries] if d is not None), default=None) for own in distances]
    hits = [own[0] for own in distances if own and own[0] is not None]
    ranks = [next((rank for rank, d in enumerate(own) if d is not None), np.inf) for own in distances]
    first, among = len(hits) / len(rows), float(np.mean([one is not None for one in best]))
    return {
        "crystals": len(rows),
        "first": first,
        "best": among,
        "metre": among,
        "error_first": (first * (1.0 - first) / len(rows)) ** 0.5,
        "error_best": (among * (1.0 - among) / len(rows)) ** 0.5,
        "rmse": float(np.mean(hits)) if hits else None,
        "crmse": float(np.mean([STOL if one is None else one for one in best])),
        "lost": {
            **{
                f"with_{kind}": float(np.mean([any(one[kind] for one in found) for found in rows]))
                for kind in ("pair", "prototype")
            },
            "with_match": float(np.isfinite(ranks).mean()),
            **{f"match_within_{k}": float(np.mean([rank < k for rank in ranks])) for k in _RANKS},
        },
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
    names = list(zip(specs.space_group.tolist(), composition_to_text(specs.composition), strict=True))
    prototypes = prototypes_of(specs.space_group, specs.composition, found.occupied)
    predictor, rows, spent = predictor_of(options), [], 0.0
    start = time.process_time()
    for row in np.random.default_rng(int(options["seed"])).permutation(len(specs)).tolist():
        begun = time.process_time()
        if begun - start > float(options["seconds"]):
            break
        group = int(specs.space_group[row])
        settings = replace(predictor.settings, space_groups=None if options["group"] == FREE else [group])
        try:
            candidates = replace(predictor, settings=settings).predict(FormulaPattern.of(formulas[row]))
            spent += time.process_time() - begun
            made = compared(candidates, crystals[row], names[row], prototypes[row])
        except EmptySpaceError:
            made = []
        rows.append(made)
        print(
            json.dumps({"formula": formulas[row], "space_group": group, "made": made}),
            file=sys.stderr,
            flush=True,
        )
    table = figures(rows, int(options["tries"]))
    print(
        json.dumps({"options": options, **table, "seconds_a_formula": round(spent / len(rows), 2)}, indent=2)
    )


if __name__ == "__main__":
    run(main)
