"""Outcomes of damaged files, configurations, run folders and command lines. Prints one JSON object.

    python -m benchmarks.fuzz [n=20000] [seed=0] [targets=readers,configs,folders,overrides] [first=0] [minutes=0]
        [processes=2] [kept=DIR]

n executions in all, shared among the targets, each made from ``seed``, its target and its number, in a forked process
with a limit of 10 s of processor time; figures are drawn in one case of eight. An execution ends well with exit status
0, or with 2 and one line of an error. Faults are any other exception or status, more lines, no end in time, files
written or removed outside the output, programs started, and crystals accepted that cannot be: atoms nearer than 0.5 Å,
atomic numbers outside 1 to 118, numbers that are not finite, cells without volume. Equal faults are shown once, with
their number and the words of the first; ``first=N n=1 targets=T`` runs case N of T again, and ``kept`` is a folder that
keeps the inputs of cases with faults. ``minutes`` ends the run early, 0 does not. The exit status is 1 if there is a
fault.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.fuzzing.cases import Maker
from benchmarks.fuzzing.execution import Runner
from benchmarks.fuzzing.outcomes import Outcome
from benchmarks.fuzzing.verdicts import CATEGORIES, signature
from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError

SHARES = {"readers": 0.7, "configs": 0.08, "folders": 0.08, "overrides": 0.14}
"""Share of each target in all executions."""

_DEFAULTS = {
    "n": "20000",
    "seed": "0",
    "targets": ",".join(SHARES),
    "first": "0",
    "minutes": "0",
    "processes": "2",
    "kept": "",
}


class Tally:
    """Counts of outcomes, and the first of each kind of fault."""

    def __init__(self) -> None:
        self.figures: dict[str, Counter[str]] = {}
        self.seconds: Counter[str] = Counter()
        self.slowest: Counter[str] = Counter()
        self.kinds: dict[str, dict[str, Any]] = {}

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        counts = self.figures.setdefault(outcome.target, Counter())
        counts["executions"] += 1
        counts["accepted" if outcome.status == 0 else "refused" if outcome.status == 2 else "neither"] += 1
        counts.update({category for category, _ in outcome.faults})
        self.seconds[outcome.target] += outcome.seconds
        self.slowest[outcome.target] = max(self.slowest[outcome.target], outcome.seconds)
        for category, detail in outcome.faults:
            kind = signature(category, detail)
            known = self.kinds.get(kind)
            if known is None:
                known = {"category": category, "detail": detail[:600], "count": 0, "numbers": []}
                known |= {
                    "target": outcome.target,
                    "first": outcome.number,
                    "words": shlex.join(outcome.words),
                }
                self.kinds[kind] = known | {"said": outcome.said[-600:]}
                print(
                    f"{outcome.target} {outcome.number}: {category} {detail[:300]}",
                    file=sys.stderr,
                    flush=True,
                )
            self.kinds[kind]["count"] += 1
            if len(self.kinds[kind]["numbers"]) < 5:
                self.kinds[kind]["numbers"].append(f"{outcome.target} {outcome.number}")

    def report(self) -> dict[str, Any]:
        """All counts, and the kinds of faults, the most frequent first."""
        by_target = {
            target: {
                **{name: counts[name] for name in ("executions", "accepted", "refused", "neither")},
                **{category: counts[category] for category in CATEGORIES},
                "processor_seconds": round(self.seconds[target], 1),
                "slowest_seconds": round(self.slowest[target], 2),
            }
            for target, counts in self.figures.items()
        }
        total = {
            category: sum(figures[category] for figures in by_target.values()) for category in CATEGORIES
        }
        executions = sum(figures["executions"] for figures in by_target.values())
        kinds = sorted(self.kinds.values(), key=lambda kind: -kind["count"])
        return {"executions": executions, **total, "targets": by_target, "kinds": kinds}


def makers() -> dict[str, Maker]:
    """Maker of the cases of each target; imported late, as all verbs come with it."""
    from benchmarks.fuzzing import configs, folders, overrides, readers

    return {
        "readers": readers.make,
        "configs": configs.make,
        "folders": folders.make,
        "overrides": overrides.make,
    }


def fuzz(
    targets: list[str],
    n: int,
    seed: int,
    folder: Path,
    first: int = 0,
    processes: int = 1,
    kept: Path | None = None,
    in_time: Callable[[], bool] = lambda: True,
) -> Tally:
    """Run cases of some targets.

    Args:
        targets: their names.
        n: cases of all of them together.
        seed: of the cases.
        folder: for valid inputs and the folders of the cases.
        first: number of the first case of each target.
        processes: at once.
        kept: where inputs of cases with faults are kept.
        in_time: whether to go on.
    """
    from benchmarks.fuzzing.material import make_valid

    valid = folder / "valid"
    make_valid(valid)
    _import_verbs()
    tally, shares = Tally(), {target: SHARES[target] for target in targets}
    for target, share in shares.items():
        count = max(1, round(n * share / sum(shares.values())))
        runner = Runner(makers()[target], target, seed, valid, folder, kept)
        for outcome in runner.run(range(first, first + count), processes):
            tally.add(outcome)
            if not in_time():
                break
    return tally


def _import_verbs() -> None:
    """Import the modules of the forked processes, once."""
    from gflownet_crystal.cli.main import VERBS

    for name in ("ase.io", "pymatgen.io.cif", *(f"gflownet_crystal.cli.{verb}" for verb in VERBS)):
        importlib.import_module(name)


def main(arguments: list[str]) -> None:
    """Read the arguments, run and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    targets = names(options, "targets", tuple(SHARES))
    if not targets or int(options["n"]) < 1 or int(options["processes"]) < 1:
        raise ConfigError("n and processes must be at least 1, and targets name one at least")
    # forked processes must not find threads that they do not have
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True
    ends = time.monotonic() + 60 * int(options["minutes"]) if int(options["minutes"]) else float("inf")
    kept = Path(options["kept"]).resolve() if options["kept"] else None
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        tally = fuzz(
            targets,
            int(options["n"]),
            int(options["seed"]),
            Path(folder).resolve(),
            int(options["first"]),
            int(options["processes"]),
            kept,
            lambda: time.monotonic() < ends,
        )
        os.chdir(here)
    report = tally.report()
    print(json.dumps({"seed": int(options["seed"]), **report}, indent=1))
    if report["kinds"]:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
