"""Structure prediction from formulas alone, on MP-20's val. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.formula_prediction data=FILE.parquet [n=100] [tries=20] [listed=200]
        [group=free] [seed=0] [templates=40] [cells=64] [energies=alignn] [temperature=0.04] [by_prototypes=0.5]
        [most_atoms=20] [prototypes=prototypes] [relax=0] [relax_steps=40] [seconds=900]
        [processes=1]

FILE holds crystals in the package's schema with the column ``mp20_split``; n of those of val are taken at random, as
many as ``seconds`` of processor time, of all processes, allow. Given are the reduced formula and, with ``group=given``,
the space group. The structures of ``predict`` are compared in their order by pymatgen's StructureMatcher (stol 0.5,
ltol 0.3, angle_tol 10):
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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core import Structure

from benchmarks.matching import STOL
from benchmarks.options import read_options, run
from benchmarks.structure_prediction import read_specs
from gflownet_crystal.common.errors import ConfigError, DataError, EmptySpaceError
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.common.units import Lost, run_units
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
             "processes": "1", **_OF_PREDICT}  # fmt: skip
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


@dataclass(frozen=True)
class Compared:
    """The structures of a formula, compared to a crystal.

    Attributes:
        formula: reduced formula.
        space_group: of the crystal.
        made: the structures, ranked, as :func:`compared` gives them.
        spent: processor time of the prediction, s.
        seconds: processor time with the comparison, s.
    """

    formula: str
    space_group: int
    made: list[dict[str, Any]]
    spent: float
    seconds: float


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


class Prediction:
    """Prediction of one crystal of the set from its formula, compared with it.

    Args:
        options: options of the program.
    """

    def __init__(self, options: dict[str, str]) -> None:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        self.is_free = options["group"] == FREE
        found = read_specs(Path(options["data"]), int(options["n"]), int(options["seed"]))
        self.specs, self.occupied = found.specs, found.occupied
        self.formulas = composition_to_text(reduce_composition(found.specs.composition), "", False)
        self.names = prototypes_of(found.specs.space_group, found.specs.composition, found.occupied)
        self.predictor = predictor_of(options)

    def __call__(self, row: int) -> Compared:
        """The structures of a crystal of the set, compared."""
        start = time.process_time()
        spec, formula = self.specs[row : row + 1], self.formulas[row]
        group = int(spec.space_group)
        settings = replace(self.predictor.settings, space_groups=None if self.is_free else [group])
        try:
            candidates = replace(self.predictor, settings=settings).predict(FormulaPattern.of(formula))
        except EmptySpaceError:
            return Compared(formula, group, [], 0.0, time.process_time() - start)
        spent = time.process_time() - start
        cell = parameters_to_matrix(spec.lengths, spec.angles)
        true = self.occupied.take(torch.tensor([row])).structures(cell, spec.space_group)
        name = (group, composition_to_text(spec.composition)[0])
        made = compared(candidates, to_pymatgen(to_primitive(true))[0], name, self.names[row])
        return Compared(formula, group, made, spent, time.process_time() - start)


def main(arguments: list[str]) -> None:
    """Predict, match and print."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    if options["group"] not in (FREE, GIVEN):
        raise ConfigError(f"group is {FREE} or {GIVEN}, not {options['group']!r}")
    n = len(read_specs(Path(options["data"]), int(options["n"]), int(options["seed"])))
    order = np.random.default_rng(int(options["seed"])).permutation(n).tolist()
    found: list[Compared] = []

    def is_late() -> bool:
        return sum(one.seconds for one in found) > float(options["seconds"])

    make, processes = partial(Prediction, options), LocalProcesses(int(options["processes"]))
    for _, one in run_units(make, order, processes, is_late):
        if isinstance(one, Lost):
            raise DataError(one.reason)
        found.append(one)
        line = {"formula": one.formula, "space_group": one.space_group, "made": one.made}
        print(json.dumps(line), file=sys.stderr, flush=True)
    table = figures([one.made for one in found], int(options["tries"]))
    spent = round(sum(one.spent for one in found) / len(found), 2)
    print(json.dumps({"options": options, **table, "seconds_a_formula": spent}, indent=2))


if __name__ == "__main__":
    run(main)
