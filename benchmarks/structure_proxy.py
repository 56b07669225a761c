"""Speed of placing atoms and of judging them on one core. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.structure_proxy [n=512] [seed=0] [batches=64,512]
        [weights=NAME,FILE.safetensors]

The n specs are those of an untrained policy in the default crystal space; without weights the builder alone is
measured. Printed are: specs a second (CPU seconds, the best of three) of the builder alone, first with all Wyckoff
assignments still to be found, then with them at hand; of the whole proxy with each network; and for the specs the
shares placed and smallest distances over summed radii.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch

from benchmarks.options import names, read_options, run
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.envs.base import Env
from gflownet_crystal.generators.placing.orbit_tables import simplest_assignments
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.policies.uniform import UniformPolicy
from gflownet_crystal.proxies.structure_proxy import TrainedStructureProxy
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.spec import CrystalSpec

_DEFAULTS = {"n": "512", "seed": "0", "batches": "64,512", "weights": ""}


def sampled_specs(n: int, seed: int) -> CrystalSpec:
    """Specs of the default space by the uniform policy."""
    env = build(resolved(compose_config("train_gfn", [])).env, Env, "env")
    model = GFlowNet(env, UniformPolicy, UniformPolicy)
    return env.objects(sample_terminal(model, n, torch.Generator().manual_seed(seed)))


def specs_per_second(
    work: Callable[[CrystalSpec], object], specs: CrystalSpec, batch: int, runs: int = 3
) -> float:
    """Specs a CPU second, the best of some runs."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        for rows in torch.arange(len(specs)).split(batch):
            work(specs[rows])
        seconds.append(time.process_time() - start)
    return round(len(specs) / min(seconds), 1)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    given = read_options(__doc__, _DEFAULTS, arguments)
    torch.set_num_threads(1)
    specs = sampled_specs(int(given["n"]), int(given["seed"]))
    builder = QuickPlacement()
    made = builder.generate(specs)
    ratios = shortest_distance_ratio(made.structures)
    figures: dict[str, object] = {
        "specs": len(specs),
        "mean atoms": float(specs.n_atoms.double().mean()),
        "placed": len(made.rows) / len(specs),
        "ratio, 5 % and median": [round(float(ratios.quantile(share)), 3) for share in (0.05, 0.5)],
    }
    for batch in map(int, names(given, "batches")):
        simplest_assignments.cache_clear()
        speed = {"builder, nothing remembered": specs_per_second(builder.generate, specs, batch, runs=1)}
        speed["builder"] = specs_per_second(builder.generate, specs, batch)
        for weights in names(given, "weights"):
            for half in (False, True):
                proxy = TrainedStructureProxy(weights, builder, half=half)
                speed[f"{weights}{', bfloat16' if half else ''}"] = specs_per_second(
                    proxy, specs, batch, runs=1
                )
        figures[f"specs/s, batch {batch}"] = speed
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    run(main)
