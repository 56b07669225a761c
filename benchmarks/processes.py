"""Training in two processes: trajectories a second against one process, and against two independent ones.

    OMP_NUM_THREADS=1 python -m benchmarks.processes [env=crystal] [batch=256] [iterations=12] [rounds=3]

One process, two by ``torchrun``, and two independent ones train by turns, ``rounds`` times; each has one thread and
batches of ``batch``. A rate is the median over the iterations after the second; of the rounds the best counts, as other
work on the machine only slows a run down. Two independent processes show the most that the cores of the machine give.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.metrics import read_metrics

DEFAULTS = {"env": "crystal", "batch": "256", "iterations": "12", "rounds": "3"}
WAYS = ("one process", "two by torchrun", "two independent")
RATE = "trajectories_per_second"


def command(options: dict[str, str], folder: Path, processes: int) -> list[str]:
    """The words of a training."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = [f"env={options['env']}", "proxy=mlp", f"trainer.batch_size={options['batch']}", "samples.n=1",
             f"trainer.iterations={options['iterations']}", "export.k=0", "threads=1", "quiet=true"]  # fmt: skip
    start = launcher if processes > 1 else []
    return [sys.executable, *start, "-m", "gflownet_crystal", "train_gfn", *words, f"run.dir={folder}"]


def rates(options: dict[str, str], place: Path, way: str) -> float:
    """Trajectories a second of a way, all processes together.

    Raises:
        DataError: a training fails.
    """
    folders = [place / f"{way}-{number}" for number in range(2 if way == WAYS[2] else 1)]
    started = [
        subprocess.Popen(
            command(options, folder, 2 if way == WAYS[1] else 1),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for folder in folders
    ]
    for one in started:
        said = one.communicate()[1]
        if one.returncode:
            raise DataError(f"{way}: {' '.join(said.split()[-30:])}")
    records = [read_metrics(folder / "metrics.jsonl") for folder in folders]
    return sum(median(record[RATE] for record in one[2:]) for one in records)


def main(arguments: list[str]) -> None:
    """Train in all ways by turns."""
    options = read_options(__doc__, DEFAULTS, arguments)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(int(options["rounds"])):
        with tempfile.TemporaryDirectory() as place:
            for way in WAYS:
                found[way].append(rates(options, Path(place), way))
        load = os.getloadavg()[0]
        shown = ", ".join(f"{way} {values[-1]:,.0f}" for way, values in found.items())
        print(f"round {number + 1}: {shown} trajectories/s, load {load:.1f}", flush=True)
    one, together, apart = (max(found[way]) for way in WAYS)
    print(
        f"two by torchrun {together / one:.2f} times one process; two independent {apart / one:.2f} times; "
        f"torchrun has {100 * together / apart:.0f} % of the independent ones"
    )


if __name__ == "__main__":
    run(main)
