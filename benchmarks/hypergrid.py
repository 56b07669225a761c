"""Trajectories a second of training on a hypergrid, beside torchgfn and gfnx.

    python -m benchmarks.hypergrid [torchgfn=PYTHON] [gfnx=PYTHON] [batch=256] [iterations=60] [rounds=3]

The hypergrid of 4 dimensions and 8 cells, trajectory balance with a uniform backward policy, perceptrons of 3 x 256,
Adam, on policy, without replay. ``torchgfn`` and ``gfnx`` are interpreters of environments with these libraries, which
ask for a NumPy older than this package does; ``null`` leaves one out. Libraries take turns, each in a process of its
own held to one thread; rates are medians over ``rounds`` of trajectories a second of processor time, compilation and
start left out. Prints one JSON object a batch size.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.policies import MLPPolicy, UniformPolicy
from gflownet_crystal.proxies import Reward
from gflownet_crystal.proxies.reward import LogValue
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining

_DEFAULTS = {"torchgfn": "null", "gfnx": "null", "batch": "256", "iterations": "60", "rounds": "3"}
_OWN = "gflownet_crystal"
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
WARM_UP = 3


def own_rate(batch: int, iterations: int) -> float:
    """Trajectories a second of processor time of this package's whole training step."""
    settings = TrainerSettings(
        iterations=WARM_UP + iterations,
        batch_size=batch,
        replay_fraction=0.0,
        exploration=0.0,
        checkpoint_every=WARM_UP + iterations,
    )
    policy = partial(MLPPolicy, n_layers=3, n_hidden=256)
    model = GFlowNet(Hypergrid(4, 8), policy, UniformPolicy)
    training = SamplerTraining(
        model, Reward(GridCorners(8), LogValue()), TrajectoryBalance(), settings, seed=0
    )
    start = 0.0
    for iteration in range(WARM_UP + iterations):
        if iteration == WARM_UP:
            start = time.process_time()
        training.advance()
    return batch * iterations / (time.process_time() - start)


def rate_of(library: str, python: str, batch: int, iterations: int) -> float:
    """Rate of a library in a process of its own.

    Raises:
        DataError: the process has failed.
    """
    if library == _OWN:
        program = ["-m", "benchmarks.hypergrid", f"batch={batch}", f"iterations={iterations}", "rounds=0"]
    else:
        program = [str(Path(__file__).with_name(f"grid_{library}.py")), str(batch), str(iterations)]
    ended = subprocess.run(
        [python, *program], env=os.environ | _ONE_THREAD, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"{library} by {python} has failed: {reason}")
    return float(ended.stdout.split()[-1])


def main(arguments: list[str]) -> None:
    """Measure each library and print the rates."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    batch, iterations, rounds = (int(options[key]) for key in ("batch", "iterations", "rounds"))
    if not rounds:
        # one round of this package, for a process that this program has started
        print(own_rate(batch, iterations))
        return
    pythons = {_OWN: sys.executable}
    pythons |= {name: options[name] for name in ("torchgfn", "gfnx") if options[name] != "null"}
    rates: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            rates[name].append(rate_of(name, python, batch, iterations))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ratios = {f"times_{name}": round(medians[_OWN] / medians[name], 2) for name in medians if name != _OWN}
    print(json.dumps({"batch": batch, **{name: round(rate) for name, rate in medians.items()}, **ratios}))


if __name__ == "__main__":
    run(main)
