"""Langevin generators with new weights: time a graph, a step of the network, and a structure. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.langevin data=FILE.parquet [n=64] [batch=32] [steps=2] [repeats=10]
        [paper=0|1]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``; specs are those of ``n`` of
them. Times are CPU seconds. Graphs: milliseconds a structure in batches of ``batch`` of like size, and seconds for the
graphs of a structure's whole sampling of 10 levels x 80 steps, where the paper's take 44 s. Samplings run ``steps`` and
three times as many a level and are taken on to 80; spec mode runs one chain a spec.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pandas as pd
import torch

from benchmarks.options import read_options, run
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.generators.langevin import Langevin, PaperLangevin
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.model import ScoreModel, Sites
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.structures.symmetry_images import group_tables
from gflownet_crystal.training.generators.langevin_task import inequivalent_sites

_LEVELS, _STEPS = 10, 80
_DEFAULTS = {"n": "64", "batch": "32", "steps": "2", "repeats": "10", "paper": "0"}


def seconds(action: Callable[[], object], repeats: int) -> float:
    """CPU seconds of an action, after a first one."""
    action()
    start = time.process_time()
    for _ in range(repeats):
        action()
    return (time.process_time() - start) / repeats


def graph_figures(sites: StructureBatch, model: ScoreModel, batch: int, repeats: int) -> dict[str, float]:
    """Times of graphs and of the network, with sites held on their positions and with sites anywhere."""
    images = group_tables().order[sites.space_group] * sites.n_atoms
    batches = [sites[rows] for rows in images.argsort(stable=True).split(batch)]
    neighbours = model.network.settings.neighbours
    totals: dict[str, float] = {}
    for part in batches:
        fields = part.cell, part.space_group, part.atomic_numbers
        held = Sites.on_positions(*fields, part.fractional, part.structure_index, model.cutoff)
        free = Sites.anywhere(*fields, part.structure_index, model.cutoff)
        level = torch.zeros(len(part), dtype=torch.int64)
        for name, one in {"spec": held, "paper": free}.items():
            actions = {
                "graph": lambda one=one, part=part: one.graph(part.fractional, part.cell, neighbours),
                "score": lambda one=one, part=part, level=level: model(
                    one, part.fractional, part.cell, level
                ),
            }
            for key, action in actions.items():
                label = f"{name}_{key}_ms_a_structure"
                totals[label] = totals.get(label, 0.0) + 1e3 * seconds(action, repeats) / len(sites)
    for name in ("spec", "paper"):
        totals[f"{name}_graphs_s_a_sampling"] = (
            totals[f"{name}_graph_ms_a_structure"] / 1e3 * _LEVELS * _STEPS
        )
    return totals


def sampling_seconds(make: Callable[[int], Generator], specs: CrystalSpec, steps: int) -> tuple[float, float]:
    """CPU seconds a structure at 80 steps a level, from runs with ``steps`` and three times as many; and mean atoms."""
    spent = []
    for factor in (1, 1, 3):
        start = time.process_time()
        made = make(factor * steps).generate(specs)
        spent.append(time.process_time() - start)
    slope = (spent[2] - spent[1]) / (2 * steps)
    whole = spent[1] + slope * (_STEPS - steps)
    return whole / max(1, len(made.rows)), float(made.structures.n_atoms.double().mean())


def main(arguments: list[str]) -> None:
    """Measure and print."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    torch.set_num_threads(1)
    chosen = {key: int(options[key]) for key in _DEFAULTS}
    frame = pd.read_parquet(options["data"], columns=["lattice", "atomic_numbers", "frac_coords"])
    frame = frame.sample(chosen["n"], random_state=0).reset_index(drop=True)
    structures = frame_to_structures(frame)
    settings = DimeNetSettings.paper() if chosen["paper"] else DimeNetSettings()
    model = ScoreModel(settings).eval()
    specs = conventional_structures(structures).specs()
    with torch.no_grad():
        figures = graph_figures(inequivalent_sites(structures), model, chosen["batch"], chosen["repeats"])
    makers: dict[str, Callable[[int], Generator]] = {
        "spec": lambda steps: Langevin(model, tries=1, steps=steps),
        "paper": lambda steps: PaperLangevin(model, closest=0.0, steps=steps),
    }
    for name, make in makers.items():
        spent, atoms = sampling_seconds(make, specs, chosen["steps"])
        figures |= {f"{name}_structures_a_s": 1.0 / spent, f"{name}_atoms_a_structure": atoms}
    shown = {name: round(value, 4) for name, value in figures.items()}
    print(json.dumps({**chosen, "threads": 1, **shown}, indent=2))


if __name__ == "__main__":
    run(main)
