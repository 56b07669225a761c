"""Trajectories a second of training beside busy processes, with threads that spin and threads that sleep.

    python -m benchmarks.busy_cores [busy=2] [threads=2] [iterations=30] [repeats=3]

So many processes that only count are started, and trainings of a small crystal space are run beside them, the two kinds
of waiting in turn: ``spinning`` as OpenMP of GNU does by default, ``sleeping`` as the package asks for where the
environment says nothing. Prints one JSON object: for each kind the rates in order, and their median; and the ratio of
the medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.common.openmp import WAITING

SPACE = ("env=crystal", "env.elements=[Na,Cl,K,O]", "env.space_groups=[14,62,225]", "proxy=mlp")
KINDS: Mapping[str, Mapping[str, str]] = {
    # libgomp's own number of turns, which counts as a setting of the user's
    "spinning": {"GOMP_SPINCOUNT": "300000"},
    "sleeping": {},
}


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Processes that only count, until the end of the context or of this process."""
    counting = [sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: pass"]
    started = [subprocess.Popen(counting) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def trajectories_per_second(settings: Mapping[str, str], threads: int, iterations: int) -> float:
    """Median over the iterations of one training, the first left out.

    Args:
        settings: environment variables to add.
        threads: of the training.
        iterations: of the training.

    Raises:
        DataError: the training failed.
    """
    ignored = (*WAITING, "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in ignored}
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        words = ["train_gfn", *SPACE, f"run.dir={run_dir}", f"threads={threads}", "export.k=0", "samples.n=2"]
        words += [f"trainer.iterations={iterations}", "quiet=true"]
        command = [sys.executable, "-m", "gflownet_crystal", *words]
        done = subprocess.run(
            command, env={**environment, **settings}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DataError(f"the training failed: {done.stderr.strip()}")
        records = read_metrics(run_dir / "metrics.jsonl")
    return statistics.median(record["trajectories_per_second"] for record in records[1:])


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    defaults = {"busy": "2", "threads": "2", "iterations": "30", "repeats": "3"}
    chosen = {name: int(value) for name, value in read_options(__doc__, defaults, arguments).items()}
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with busy_processes(chosen["busy"]):
        for _ in range(chosen["repeats"]):
            for kind, settings in KINDS.items():
                rates[kind].append(trajectories_per_second(settings, chosen["threads"], chosen["iterations"]))
    medians = {kind: statistics.median(found) for kind, found in rates.items()}
    ratio = medians["sleeping"] / medians["spinning"]
    print(json.dumps({"rates": rates, "medians": medians, "ratio": round(ratio, 2)}, indent=2))


if __name__ == "__main__":
    run(main)
