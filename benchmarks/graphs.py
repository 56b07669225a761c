"""Neighbour graphs: time a crystal, and distances against pymatgen. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.graphs [data=FILE.parquet] [n=1024] [batch=64] [check=0] [repeats=5]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``; without one, cells of random
shape with 1 to 20 atoms each are timed. Times are CPU milliseconds a crystal, medians over batches and repeats, with
all structures in memory; beside them is pymatgen's neighbour search within 6 Å, one crystal at a time.
``check`` compares that many crystals with pymatgen: the shortest distance of each, and all edges within 6 Å.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Lattice
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.structures.convert import from_arrays, to_pymatgen
from gflownet_crystal.structures.graphs import Graph, neighbour_graph, reverse_edges, triplets
from gflownet_crystal.structures.structure import StructureBatch

_SETTINGS: dict[str, dict[str, Any]] = {
    "32 nearest, symmetric": {"neighbours": 32, "symmetric": True},
    "12 nearest within 8 Å, symmetric": {"neighbours": 12, "cutoff": 8.0, "symmetric": True},
    "within 6 Å": {"cutoff": 6.0},
}
_CHECKED_CUTOFF = 6.0
_DEFAULTS = {"data": "", "n": "1024", "batch": "64", "check": "0", "repeats": "5"}


def read_crystals(path: str, n: int) -> StructureBatch:
    """``n`` random crystals of a file."""
    frame = pd.read_parquet(path, columns=["lattice", "atomic_numbers", "frac_coords"])
    frame = frame.sample(min(n, len(frame)), random_state=0)
    cells = [Lattice.from_parameters(*parameters).matrix for parameters in frame["lattice"]]
    return from_arrays(cells, frame["atomic_numbers"].tolist(), frame["frac_coords"].tolist())


def random_crystals(n: int) -> StructureBatch:
    """``n`` random cells of 18 Å^3 an atom."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 21, n)
    shapes = zip(generator.uniform(0.7, 1.4, (n, 3)), generator.uniform(65, 115, (n, 3)), sizes, strict=True)
    cells = [Lattice.from_parameters(*a, *angles).scale(18.0 * m).matrix for a, angles, m in shapes]
    return from_arrays(
        cells, [np.ones(m, dtype=int) for m in sizes], [generator.random((m, 3)) for m in sizes]
    )


def milliseconds(
    action: Callable[[Any], object], inputs: Iterable[Any], repeats: int, crystals: int
) -> float:
    """Median CPU time a crystal of an action on batches of ``crystals``, after a first round."""
    seconds = []
    for round_ in range(repeats + 1):
        for value in inputs:
            start = time.process_time()
            action(value)
            if round_:
                seconds.append(time.process_time() - start)
    return round(1000.0 * float(np.median(seconds)) / crystals, 4)


def time_setting(batches: list[StructureBatch], setting: dict[str, Any], repeats: int) -> dict[str, float]:
    """Times and sizes of the graphs of one setting."""
    crystals, total = len(batches[0]), sum(map(len, batches))

    def build(batch: StructureBatch) -> Graph:
        return neighbour_graph(batch, **setting)

    def build_with_triplets(batch: StructureBatch) -> tuple[Tensor, Tensor]:
        return triplets(build(batch))

    graphs = [build(batch) for batch in batches]
    result = {
        "graph_ms": milliseconds(build, batches, repeats, crystals),
        "graph_and_triplets_ms": milliseconds(build_with_triplets, batches, repeats, crystals),
        "edges_an_atom": round(sum(map(len, graphs)) / sum(graph.n_atoms for graph in graphs), 2),
        "triplets_a_crystal": round(sum(len(triplets(graph)[0]) for graph in graphs) / total, 1),
    }
    if setting.get("symmetric", False):
        result["reverse_edges_ms"] = milliseconds(reverse_edges, graphs, repeats, crystals)
    return result


def time_all(structures: StructureBatch, crystals: int, repeats: int) -> dict[str, dict[str, float]]:
    """Figures of each setting, on full batches, and pymatgen's time."""
    starts = range(0, len(structures) - crystals + 1, crystals)
    batches = [structures[start : start + crystals] for start in starts]
    result = {name: time_setting(batches, setting, repeats) for name, setting in _SETTINGS.items()}
    alone = to_pymatgen(structures[: 4 * crystals])
    pymatgen = milliseconds(lambda one: one.get_neighbor_list(_CHECKED_CUTOFF), alone, 1, 1)
    return result | {f"pymatgen within {_CHECKED_CUTOFF:g} Å": {"graph_ms": pymatgen}}


def check_distances(structures: StructureBatch, crystals: int) -> dict[str, float]:
    """Shortest distances and edges of every structure against pymatgen's."""
    largest, differing = 0.0, 0
    for start in range(0, len(structures), crystals):
        batch = structures[start : start + crystals]
        nearest, within = neighbour_graph(batch, neighbours=1), neighbour_graph(batch, cutoff=_CHECKED_CUTOFF)
        lengths = nearest.vectors(batch.fractional, batch.cell, batch.structure_index).norm(dim=1).numpy()
        owner = batch.structure_index[nearest.source].numpy()
        first = (batch.n_atoms.cumsum(0) - batch.n_atoms)[batch.structure_index]
        ends = torch.stack([x - first[x] for x in (within.source, within.target)], dim=1)
        rows = torch.cat([ends, within.image], dim=1).numpy()
        edge_owner = batch.structure_index[within.source].numpy()
        for row, structure in enumerate(to_pymatgen(batch)):
            radius = _CHECKED_CUTOFF
            while not len((neighbours := structure.get_neighbor_list(radius))[3]):
                radius *= 1.5
            largest = max(largest, abs(float(lengths[owner == row].min() - neighbours[3].min())))
            source, target, image, distance = neighbours
            theirs = np.column_stack([source, target, image.astype(int)])[distance <= _CHECKED_CUTOFF + 1e-8]
            differing += set(map(tuple, theirs.tolist())) != set(map(tuple, rows[edge_owner == row].tolist()))
    return {
        "crystals": len(structures),
        "largest_difference_of_shortest_distance_A": largest,
        f"with_other_edges_within_{_CHECKED_CUTOFF:g}_A": differing,
    }


def main(arguments: list[str]) -> None:
    """Read the arguments, measure and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    torch.set_num_threads(1)
    path = options.pop("data")
    numbers = {key: int(value) for key, value in options.items()}
    n = max(numbers["n"], numbers["check"])
    structures = read_crystals(path, n) if path else random_crystals(n)
    timed = structures[: numbers["n"]]
    crystals = min(numbers["batch"], len(timed))
    report: dict[str, Any] = {
        "crystals": path or "random cells",
        "batch": crystals,
        "atoms_a_crystal": round(float(timed.n_atoms.double().mean()), 2),
        "settings": time_all(timed, crystals, numbers["repeats"]),
    }
    if numbers["check"]:
        report["check"] = check_distances(structures[: numbers["check"]], crystals)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    run(main)
