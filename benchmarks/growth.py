"""Processor time and memory of verbs by the number of crystals.

    OMP_NUM_THREADS=1 python -m benchmarks.growth [verbs=sample,export,pipeline,evaluate,report]
        [sizes=100,1000,10000] [samples=10000,100000] [run=DIR]

``run`` is a run folder of ``train_gfn``; without it, one of the shipped prior after a single iteration is made. Atoms
are placed by one try of the default generator, rated by the proxy of specs, and nothing is relaxed: the work that each
crystal brings to a verb is left. Candidates may share formulas, elements and prototypes, as there are too few of these
for 10,000. ``export`` and ``pipeline`` write as many candidates as ``sizes`` says, ``evaluate`` and ``report`` read
them; ``sample`` draws as many objects as ``samples`` says. Each command is a process with a single thread. Growth is
the exponent between two numbers, without the seconds that one crystal takes: 1 is linear. More candidates of one run
take more specs each, as contacts and doubles leave out more of the later ones: so the growth by specs that were tried
is told as well.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import CANDIDATES, RANK, SUMMARY
from gflownet_crystal.common.run_summary import read_summary
from gflownet_crystal.report.run_files import funnel_of

VERBS = ("sample", "export", "pipeline", "evaluate", "report")
DEFAULTS = {"verbs": ",".join(VERBS), "sizes": "100,1000,10000", "samples": "10000,100000", "run": ""}
CHEAP = ("generator.tries=1", "energies=null")
UNLIMITED = tuple(f"screening.max_per_{kind}=1000000" for kind in ("formula", "system", "prototype"))


@dataclass(frozen=True)
class Cost:
    """Cost of a command.

    Attributes:
        seconds: processor time.
        megabytes: largest memory.
    """

    seconds: float
    megabytes: float


def cost_of(*words: str) -> Cost:
    """Run a verb in a process of its own.

    Raises:
        DataError: it fails.
    """
    with tempfile.TemporaryFile() as said:
        command = [sys.executable, "-m", "gflownet_crystal", *words]
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode:
            said.seek(0)
            raise DataError(f"{' '.join(words)}: {said.read().decode().strip()}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def made_run(place: Path) -> Path:
    """The run of a single iteration."""
    words = (
        "env=crystal",
        "proxy=mlp",
        "trainer.iterations=1",
        "samples.n=100",
        "export.k=0",
        "threads=1",
        "quiet=true",
    )
    cost_of("train_gfn", *words, f"run.dir={place / 'run'}")
    return place / "run"


def words_of(verb: str, folder: Path, size: int, place: Path) -> tuple[str, ...]:
    """Settings of a verb for a number of crystals."""
    candidates = place / f"export{size}"
    return {
        "sample": (f"run={folder}", f"n={size}", f"out={place}/samples{size}.parquet", "quiet=true"),
        "export": (f"run={folder}", f"k={size}", f"n={2 * size}", f"out={candidates}", *CHEAP, *UNLIMITED,
                   "quiet=true"),
        "pipeline": (f"run={folder}", f"k={size}", f"n={2 * size}", f"out={place}/pipeline{size}", "tries=1",
                     *CHEAP, *UNLIMITED, "threads=1", "quiet=true"),
        "evaluate": (f"structures={candidates}", f"out={place}/evaluate{size}", "network=null", "threads=1",
                     "metrics=[validity,space_groups,uniqueness]"),
        "report": (f"run={folder}", f"candidates={candidates}", f"k={size}", f"out={place}/page{size}.html",
                   "compare=0", "threads=1"),
    }[verb]  # fmt: skip


def specs_tried(folder: Path) -> int | None:
    """Number of specs that got atoms in a folder of ``export`` or ``pipeline``; None for others."""
    if not (folder / SUMMARY).is_file():
        return None
    return dict(funnel_of(read_summary(folder))).get("tried")


def said(cost: Cost, folder: Path) -> str:
    """Cost of a verb, with the number of candidates and of specs behind them where it makes some."""
    text, tried = f"{cost.seconds:.1f} s, {cost.megabytes:,.0f} MB", specs_tried(folder)
    if tried is None:
        return text
    ranks = pd.read_csv(folder / CANDIDATES, usecols=[RANK])[RANK]
    return f"{text}, {ranks.count():,} candidates of {tried:,} specs tried"


def exponent(seconds: float, earlier: float, size: int, before: int) -> float:
    """Growth of the time between two numbers; 1 is linear."""
    return math.log(seconds / max(earlier, 1e-3)) / math.log(size / before)


def main(arguments: list[str]) -> None:
    """Run all commands and print their costs."""
    options = read_options(__doc__, DEFAULTS, arguments)
    chosen = names(options, "verbs", VERBS)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = Path(options["run"]).resolve() if options["run"] else made_run(place)
        if {"evaluate", "report"} & set(chosen) and "export" not in chosen:
            chosen = ["export", *chosen]
        for verb in sorted(chosen, key=VERBS.index):
            sizes = [int(size) for size in options["samples" if verb == "sample" else "sizes"].split(",")]
            start = cost_of(verb, *words_of(verb, folder, 1, place)).seconds
            earlier: tuple[int, float, int | None] | None = None
            for size in sizes:
                cost, out = cost_of(verb, *words_of(verb, folder, size, place)), place / f"{verb}{size}"
                seconds, tried, growth = cost.seconds - start, specs_tried(out), ""
                if earlier is not None:
                    before, less, fewer = earlier
                    growth = f", growth {exponent(seconds, less, size, before):.2f}"
                    if tried and fewer:
                        growth += f", by specs {exponent(seconds, less, tried, fewer):.2f}"
                print(f"{verb} {size:,}: {said(cost, out)}{growth}", flush=True)
                earlier = size, seconds, tried


if __name__ == "__main__":
    run(main)
