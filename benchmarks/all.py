"""The fast benchmarks, one after the other, as one table.

    OMP_NUM_THREADS=1 python -m benchmarks.all [names=all] [seconds=600] [out=FILE.md]

Each is a process of its own with one thread, and is ended after ``seconds``. No data are needed. ``names`` are some of
the first words of the rows, with commas between. The table is Markdown: benchmark, command, main figures, processor
time; ``out`` is a file for it too. Exit status 1 if a benchmark fails or runs out of time.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.files import write_text

DEFAULTS = {"names": "all", "seconds": "600", "out": ""}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark of the table.

    Attributes:
        words: command, after ``python -m benchmarks.``.
        figures: main figures from the lines that it prints.
    """

    words: str
    figures: Callable[[list[str]], str]


def _json(*keys: str) -> Callable[[list[str]], str]:
    """Figures of the JSON object that is printed, by their dotted keys."""

    def picked(lines: list[str]) -> str:
        text = "\n".join(lines)
        found, shown = json.loads(text[text.index("{") :]), []
        for key in keys:
            value: Any = found
            for part in key.split("."):
                value = value[part]
            shown.append(f"{key.rpartition('.')[2].replace('_', ' ')} {_rounded(value)}")
        return ", ".join(shown)

    return picked


def _rounded(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_rounded(one)}" for name, one in value.items())
    return (
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


def _last(lines: list[str]) -> str:
    return lines[-1]


BENCHMARKS: Mapping[str, Benchmark] = {
    "trajectories": Benchmark(
        "trajectories iterations=5",
        _json(
            "learned_backward.training_per_s",
            "learned_backward.share_of_bare",
            "uniform_backward.sampling_per_s",
        ),
    ),
    "hypergrid": Benchmark("hypergrid torchgfn=null gfnx=null", _json("gflownet_crystal")),
    "masks": Benchmark(
        "masks env=crystal_89 n=20000", _json("distinct", "dead_ends", "open_cells", "invalid")
    ),
    "exactness": Benchmark(
        "objectives objectives=trajectory_balance iterations=300 batch=128",
        _json("total_variation", "log_z_error"),
    ),
    "graphs": Benchmark("graphs n=256 repeats=2", _json("settings.within 6 Å.graph_ms")),
    "placing": Benchmark("structure_proxy n=256 batches=64", _json("specs/s, batch 64.builder", "placed")),
    "energies": Benchmark(
        "energy_models model=alignn n=48 setting=fast precision=float32",
        _json("settings.fast.crystals_per_second.float32"),
    ),
    "waits": Benchmark("host_waits", _last),
}


def row_of(title: str, benchmark: Benchmark, seconds: float) -> tuple[str, bool]:
    """A row of the table, and whether the benchmark succeeded."""
    with tempfile.TemporaryFile("w+") as printed:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = subprocess.Popen(
            [sys.executable, "-m", *f"benchmarks.{benchmark.words}".split()],
            stdout=printed,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            status: int | str = started.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            status = f"no end after {seconds:g} s"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed.seek(0)
        lines = printed.read().strip().splitlines()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = benchmark.figures(lines) if status == 0 else f"failed: {status}"
    return f"| {title} | `python -m benchmarks.{benchmark.words}` | {figures} | {spent:.0f} s |", status == 0


def main(arguments: list[str]) -> None:
    """Run the benchmarks and print the table.

    Raises:
        SystemExit: with status 1 if one failed.
    """
    options = read_options(__doc__, DEFAULTS, arguments)
    chosen = BENCHMARKS if options["names"] == "all" else names(options, "names", BENCHMARKS)
    cores = f"{os.cpu_count()} {platform.machine()} cores, load {os.getloadavg()[0]:.1f}"
    lines = [
        f"{cores}, Python {platform.python_version()}, PyTorch {version('torch')}, {date.today()}; one thread:",
        "",
        "| benchmark | command | figures | processor time |",
        "|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    failed = False
    for title in chosen:
        row, succeeded = row_of(title, BENCHMARKS[title], float(options["seconds"]))
        failed = failed or not succeeded
        lines.append(row)
        print(row, flush=True)
    if options["out"]:
        write_text(Path(options["out"]), "\n".join(lines) + "\n")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
