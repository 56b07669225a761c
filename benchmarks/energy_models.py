"""Networks on atoms: crystals a second on one core, in training and inference. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.energy_models [model=alignn] [setting=paper,fast] [data=FILE.parquet]
        [n=96] [batch=16] [repeats=3] [precision=float32,bfloat16] [compile=no]

``model`` is a name of ``models/registry.py``, ``setting`` a named preset of its settings. FILE holds crystals in the
columns ``lattice``, ``atomic_numbers`` and ``frac_coords``; without one, cells of random shape with 1 to 20 atoms each
are read. Times are CPU seconds of network (and in training its gradient) on graphs made before; of each batch the
fastest of the repeats after a first one counts. ``compile=yes`` compiles the hot parts of networks that name some,
as ``loop.compile=true`` does. ``bfloat16_change`` is the mean change of energies by autocast, over
their standard deviation, with the weights of the start.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.graphs import random_crystals, read_crystals
from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.models.layers.compiling import compile_kernels
from gflownet_crystal.models.layers.inputs import CrystalGraph, crystal_graph
from gflownet_crystal.models.registry import network_entry
from gflownet_crystal.structures.structure import StructureBatch

_PRECISIONS = ("float32", "bfloat16")
_DEFAULTS = {
    "model": "alignn",
    "setting": "paper,fast",
    "data": "",
    "n": "96",
    "batch": "16",
    "repeats": "3",
    "precision": "float32,bfloat16",
    "compile": "no",
}


def preset(model: str, name: str) -> Any:
    """The settings of a network that have a name.

    Raises:
        ConfigError: there is no such network or preset.
    """
    settings = network_entry(model).settings
    presets = [key for key, value in vars(settings).items() if isinstance(value, classmethod | staticmethod)]
    if name not in presets:
        raise unknown(f"preset of {model}", name, presets)
    return getattr(settings, name)()


def build(model: str, setting: str) -> nn.Module:
    """A network with a named preset of its settings."""
    return network_entry(model).network(preset(model, setting))


def outputs(network: nn.Module, graph: CrystalGraph, precision: str) -> list[Tensor]:
    """All tensors that a network says of a graph; the first is the energy, where there is one."""
    dtype = getattr(torch, precision)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        said = network(graph)
    parts: Iterable[Tensor | None] = [said] if isinstance(said, Tensor) else said
    return [part.float() for part in parts if part is not None]


def infer(network: nn.Module, graph: CrystalGraph, precision: str) -> None:
    """One prediction."""
    with torch.no_grad():
        outputs(network, graph, precision)


def train(network: nn.Module, graph: CrystalGraph, precision: str) -> None:
    """One gradient of all parameters."""
    loss = torch.stack([part.square().mean() for part in outputs(network, graph, precision)]).sum()
    loss.backward()
    network.zero_grad(set_to_none=True)


def crystals_per_second(
    network: nn.Module, graphs: list[CrystalGraph], precision: str, repeats: int
) -> dict[str, float]:
    """Speed of both modes."""
    speeds = {}
    for mode in (infer, train):
        seconds = 0.0
        for graph in graphs:
            mode(network, graph, precision)
            times = []
            for _ in range(repeats):
                start = time.process_time()
                mode(network, graph, precision)
                times.append(time.process_time() - start)
            seconds += min(times)
        speeds[mode.__name__] = round(sum(graph.n_structures for graph in graphs) / seconds, 1)
    return speeds


def bfloat16_change(network: nn.Module, graphs: list[CrystalGraph]) -> float:
    """Mean change of the first output by autocast over its standard deviation."""
    with torch.no_grad():
        exact, rounded = (
            torch.cat([outputs(network, graph, precision)[0] for graph in graphs])
            for precision in ("float32", "bfloat16")
        )
    return float((rounded - exact).abs().mean() / exact.std())


def batches(crystals: StructureBatch, size: int) -> Iterator[StructureBatch]:
    """Batches of ``size`` crystals, the last one smaller."""
    for start in range(0, len(crystals), size):
        yield crystals[start : start + size]


def figures(network: nn.Module, crystals: StructureBatch, options: dict[str, str]) -> dict[str, object]:
    """Measured figures of one network.

    Raises:
        ConfigError: nothing of it can be compiled.
    """
    if options["compile"] == "yes" and not compile_kernels(network):
        raise ConfigError(f"{options['model']} names no parts to compile; leave compile=no")
    triplets = bool(getattr(network, "needs_triplets", True))
    parts = list(batches(crystals, int(options["batch"])))
    start = time.process_time()
    graphs = [crystal_graph(part, network.settings.graph, triplets=triplets) for part in parts]
    graph_seconds = time.process_time() - start
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "edges_a_crystal": round(sum(graph.n_edges for graph in graphs) / len(crystals), 1),
        "triplets_a_crystal": round(sum(len(graph.first) for graph in graphs) / len(crystals), 1),
        "graph_ms_a_crystal": round(1000.0 * graph_seconds / len(crystals), 3),
        "crystals_per_second": {
            precision: crystals_per_second(network, graphs, precision, int(options["repeats"]))
            for precision in names(options, "precision", _PRECISIONS)
        },
        "bfloat16_change": bfloat16_change(network, graphs),
    }


def main(arguments: list[str]) -> None:
    """Read the arguments, measure and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    torch.set_num_threads(1)
    n = int(options["n"])
    crystals = read_crystals(options["data"], n) if options["data"] else random_crystals(n)
    report: dict[str, object] = {
        "model": options["model"],
        "crystals": options["data"] or "random cells",
        "batch": int(options["batch"]),
        "atoms_a_crystal": round(float(crystals.n_atoms.double().mean()), 2),
        "settings": {
            setting: figures(build(options["model"], setting), crystals, options)
            for setting in names(options, "setting")
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    run(main)
