"""Errors of energy models against their cost, on the same crystals. Prints a table and one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.accuracy_cost data=mp20_val,wbm [models=NAME,...] [n=500]
        [figure=FILE.png] [seed=0]

Of each file ``n`` random crystals are judged as they are, in primitive cells; where it says which are of MP-20's val,
of these. The time is processor time of one thread, crystals together as each model takes them, after a first crystal;
loading does not count. Labels are in the scheme of corrections of all models, MaterialsProject2020. ``figure`` draws
mean absolute errors over seconds. The potentials need the extra ``potentials``.
"""

from __future__ import annotations

import json
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import NullFormatter

from benchmarks.options import names, read_options, run
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.report.figure_style import COLOURS, figure_style, new_figure, plain, save_png
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.training.energies.labelled import LabelledStructures
from gflownet_crystal.workflows.data.tables import read_crystals

MODELS = "gemsnet,alignn,alignn+gemsnet,chgnet,sevenn:7net-0,sevenn:7net-l3i5"
_MARKERS = "osD^v<>"
COLUMNS = ("data", "model", "n", "mae", "median", "bias", "seconds")


def drawn(path: Path, n: int, seed: int) -> LabelledStructures:
    """Random crystals of a file."""
    crystals = read_crystals([path])
    if (is_val := crystals.split == "val").any():
        crystals = crystals.take(is_val)
    return crystals.take(np.sort(np.random.default_rng(seed).permutation(len(crystals))[:n]))


def judged(crystals: LabelledStructures, model: str) -> dict[str, float]:
    """Errors, eV/atom, and seconds of a core for a crystal."""
    energies, structures = load_energies(model), to_primitive(crystals.structures)
    energies.predict(structures[:1])
    start = time.process_time()
    energy, _ = energies.predict(structures)
    seconds = (time.process_time() - start) / len(structures)
    error = (energy.cpu() - crystals.energy)[energy.cpu().isfinite()]
    return {
        "n": len(error),
        "mae": float(error.abs().mean()),
        "median": float(error.abs().median()),
        "bias": float(error.mean()),
        "seconds": seconds,
    }


def draw(table: pd.DataFrame, path: Path) -> None:
    """One panel a file: mean absolute errors over seconds of a core, a point a model."""
    files, models = (list(dict.fromkeys(table[name])) for name in ("data", "model"))
    with figure_style():
        figure = new_figure(3.4 * len(files), 3.6)
        panels = figure.subplots(1, len(files), squeeze=False)[0]
        for axes, name in zip(panels, files, strict=True):
            rows = table[table["data"] == name].set_index("model")
            for model, marker, colour in zip(models, cycle(_MARKERS), cycle(COLOURS.values()), strict=False):
                row = rows.loc[model]
                axes.scatter(
                    row["seconds"], row["mae"], marker=marker, color=colour, s=45, label=plain(model)
                )
            axes.set_xscale("log")
            axes.set_xlim(0.6 * table["seconds"].min(), 1.6 * table["seconds"].max())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_ylim(0.0, 1.15 * rows["mae"].max())
            axes.set_title(plain(name))
            axes.set_xlabel("seconds of a core for a crystal")
        panels[0].set_ylabel("mean absolute error, eV/atom")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        save_png(figure, path)


def main(arguments: list[str]) -> None:
    """Judge, print, draw."""
    defaults = {"models": MODELS, "n": "500", "figure": "", "seed": "0"}
    options = read_options(__doc__, defaults, arguments, required=["data"])
    torch.set_num_threads(1)
    rows = []
    for path in map(Path, names(options, "data")):
        crystals = drawn(path, int(options["n"]), int(options["seed"]))
        rows += [
            {"data": path.stem, "model": model, **judged(crystals, model)}
            for model in names(options, "models")
        ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    print(table.round(4).to_string(index=False))
    print(json.dumps(table.round(5).to_dict("records")))
    if options["figure"]:
        draw(table, Path(options["figure"]))


if __name__ == "__main__":
    run(main)
