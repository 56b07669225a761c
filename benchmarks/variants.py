"""Variants of two textbook crystals by ``predict start=FILE``: how many of the first are known. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.variants data=FILE.parquet,FILE.parquet [n=20]

Halite has all its elements exchanged; olivine LiFePO4 gets Na for Li, Mn for Fe, S for O. A variant is known where a
crystal of its reduced formula in ``data``, in the package's schema, matches it (pymatgen's StructureMatcher, stol 0.5,
ltol 0.3, angle_tol 10). Printed are the variants in their order with ``known``: the match, the formula alone, or
neither; and the processor time of each prediction.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Lattice, Structure

from benchmarks.options import names, read_options, run
from gflownet_crystal.config.build import verb_settings
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.config.predicting import build_predictor
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.training.energies.labelled import LabelledStructures, read_labelled
from gflownet_crystal.workflows.candidates.files import Candidates
from gflownet_crystal.workflows.predicting.tasks import tasks_asked
from gflownet_crystal.workflows.settings.predict import PredictSettings

HALITE = Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
OLIVINE = Structure.from_spacegroup(
    62,
    Lattice.orthorhombic(10.33, 6.01, 4.69),
    ["Li", "Fe", "P", "O", "O", "O"],
    [
        [0.0, 0.0, 0.0],
        [0.282, 0.25, 0.975],
        [0.095, 0.25, 0.418],
        [0.097, 0.25, 0.743],
        [0.457, 0.25, 0.206],
        [0.166, 0.046, 0.285],
    ],
)
"""Fractional coordinates of V. A. Streltsov et al., Acta Cryst. B 49, 147 (1993), rounded."""

STARTS = {
    "halite": (HALITE, ["sites=null"]),
    "olivine": (OLIVINE, ["sites={Li:[Li,Na],Fe:[Fe,Mn],O:[O,S]}"]),
}


def varied(crystal: Structure, words: list[str], n: str) -> tuple[Candidates, float]:
    """Variants of a crystal, and the seconds to find them without those to load the models."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "start.cif"
        crystal.to(filename=str(file))
        words = [f"start={file}", f"out={folder}/out", f"n={n}", "device=cpu", "threads=1", *words]
        config = compose_config("predict", words)
        (task,) = tasks_asked(verb_settings(PredictSettings, config))
        predictor = build_predictor(config)
        start = time.process_time()
        found = task.found(predictor)
    return found, time.process_time() - start


def known(found: Candidates, data: LabelledStructures) -> list[str]:
    """Knowledge of each variant: ``match``, ``formula`` or ``none``."""
    if found.structures is None:
        return []
    matcher, result = Tolerances().matcher(), []
    own = to_pymatgen(to_primitive(found.structures))
    for formula, crystal in zip(found.structures.specs().reduced_formulas(), own, strict=True):
        rows = torch.from_numpy(np.flatnonzero(data.formula == formula))
        others = to_pymatgen(to_primitive(data.structures[rows])) if len(rows) else []
        match = any(matcher.fit(crystal, other) for other in others)
        result.append("match" if match else "formula" if others else "none")
    return result


def main(arguments: list[str]) -> None:
    """Vary, match and print."""
    options = read_options(__doc__, {"n": "20"}, arguments, required=["data"])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    data = read_labelled([Path(one) for one in names(options, "data")])
    table = {}
    for name, (crystal, words) in STARTS.items():
        found, seconds = varied(crystal, words, options["n"])
        words_of = known(found, data)
        formulas = [] if found.structures is None else found.structures.specs().reduced_formulas()
        table[name] = {
            "variants": len(words_of),
            "matches": words_of.count("match"),
            "formulas_alone": words_of.count("formula"),
            "seconds": round(seconds, 1),
            "found": dict(zip(formulas, words_of, strict=True)),
        }
    print(json.dumps({"options": options, **table}, indent=2))


if __name__ == "__main__":
    run(main)
