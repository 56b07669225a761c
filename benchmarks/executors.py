"""Executors: time that sharing short units takes, and placements and relaxations whose workers are killed.

    python -m benchmarks.executors data=FILE [executors=local,dask] [processes=2] [units=10000] [milliseconds=10]
        [placements=1000] [relaxations=200] [steps=10] [kills=2]

Units that wait for some milliseconds are shared among workers that run already; the overhead is the time of the workers
over that of the units, less one. Then specs of FILE get atoms (generator=quick, batches of ten) and its crystals are
relaxed (alignn, batches of ten) in this process, and by each executor while workers are killed in the middle of a unit.
Results have to be those of this process, bit for bit: the exit status is 1 if one differs, or is lost.
"""

from __future__ import annotations

import functools
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.dask_executors import DaskExecutor, DaskWorkers
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.units import open_workers, run_units
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.relaxation.results import Relaxation
from gflownet_crystal.relaxation.run import Worker
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.placing.making import Maker
from gflownet_crystal.workflows.relaxing.relaxing import load_on

_BATCH, _MOST_ATOMS = 10, 8
EXECUTORS: Mapping[str, Callable[[int], Executor]] = {
    "local": lambda processes: LocalProcesses(processes),
    "dask": lambda processes: DaskWorkers(processes=processes),
}
DEFAULTS = {"executors": "local,dask", "processes": "2", "units": "10000", "milliseconds": "10",
            "placements": "1000", "relaxations": "200", "steps": "10", "kills": "2"}  # fmt: skip

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Killed:
    """A maker of functions whose worker is killed in the middle of some units, once each.

    Attributes:
        make: makes the function of a unit.
        folder: folder of the marks of the deaths.
        places: numbers of these units.
    """

    make: Callable[[], Function]
    folder: Path
    places: frozenset[int]

    def __call__(self) -> Function:
        """The function of a numbered unit."""
        return functools.partial(self.do, self.make())

    def do(self, function: Function, numbered: tuple[int, Any]) -> Any:
        """The result of a unit, if it is not the time of a death."""
        place, unit = numbered
        result = function(unit)
        mark = self.folder / str(place)
        if place in self.places and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def main(arguments: Sequence[str]) -> None:
    """Print a table of each part.

    Raises:
        SystemExit: with status 1 if a result differs or is lost.
    """
    options = read_options(__doc__, DEFAULTS, arguments, required=("data",))
    numbers = {key: int(options[key]) for key in DEFAULTS if key != "executors"}
    chosen = names(options, "executors", EXECUTORS)
    torch.set_num_threads(1)
    crystals = read_crystals(Path(options["data"]), max(1, numbers["placements"], numbers["relaxations"]))
    executors = {name: EXECUTORS[name](numbers["processes"]) for name in chosen}
    print("| executor | units | a unit | overhead |\n|---|---|---|---|", flush=True)
    for name, executor in executors.items():
        found = overhead(executor, numbers["units"], numbers["milliseconds"] / 1000)
        print(
            f"| {name} | {numbers['units']} | {numbers['milliseconds']} ms | {100 * found:.1f} % |",
            flush=True,
        )
    print(
        "\n| work | executor | units | killed | seconds | lost | different |\n|---|---|---|---|---|---|---|"
    )
    faults = sum(compare(*work, executors, numbers["kills"]) for work in works(crystals, numbers))
    for executor in executors.values():
        if isinstance(executor, DaskExecutor):
            executor.close()
    if faults:
        raise SystemExit(1)


def read_crystals(path: Path, n: int) -> pd.DataFrame:
    """The first n small crystals of a file, in conventional cells."""
    frame = pd.read_parquet(path)
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.parquet"
        frame[frame["atomic_numbers"].map(len) <= _MOST_ATOMS].head(n).to_parquet(few)
        return load_prepared([few], atoms=True, left_out=LeftOut())


def overhead(executor: Executor, n: int, seconds: float) -> float:
    """Time of all workers over the time of the units, less one."""
    with open_workers(_waiter, executor) as workers:
        # the start of the workers is told apart
        list(workers.run([0.05] * 200))
        start = time.perf_counter()
        own = sum(float(spent) for _, spent in workers.run([seconds] * n) if isinstance(spent, float))
        wall = time.perf_counter() - start
    return wall * getattr(executor, "processes", 1) / own - 1


def _waiter() -> Function:
    return _wait


def _wait(seconds: float) -> float:
    start = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - start


def works(
    crystals: pd.DataFrame, numbers: Mapping[str, int]
) -> Iterator[tuple[str, Callable[[], Function], list[Any]]]:
    """Name, maker of the function, and units of each kind of work."""
    specs = crystals.head(numbers["placements"])
    batches = [specs.iloc[start : start + _BATCH] for start in range(0, len(specs), _BATCH)]
    if batches:
        yield f"{len(specs)} placements", _placer, batches
    if not numbers["relaxations"]:
        return
    structures = frame_to_structures(crystals.head(numbers["relaxations"]))
    singles = [(row, structures[row : row + 1]) for row in range(len(structures))]
    portions = [singles[start : start + _BATCH] for start in range(0, len(singles), _BATCH)]
    yield f"{len(singles)} relaxations", functools.partial(_relaxer, numbers["steps"]), portions


def _placer() -> Function:
    return Maker(QuickPlacement(), torch.device("cpu"), 1, 0, False, None).make


def _relaxer(steps: int) -> Function:
    worker = Worker(load_on("alignn", None, "cpu"), RelaxationSettings(steps=steps))
    return functools.partial(_relax, worker)


def _relax(worker: Worker, crystals: Sequence[tuple[int, StructureBatch]]) -> list[Relaxation]:
    return [result for _, result, _ in sorted(worker(crystals), key=lambda finished: finished.row)]


def compare(
    work: str, make: Callable[[], Function], units: list[Any], executors: Mapping[str, Executor], kills: int
) -> int:
    """Do units in this process and by executors, and print a row for each; the number of faults."""
    with timed() as took:
        alone = dict(run_units(make, units, LocalProcesses()))
    print(f"| {work} | this process | {len(units)} | 0 | {took[0]:.1f} | | |", flush=True)
    faults, fatal = 0, frozenset(len(units) * (kill + 1) // (kills + 1) for kill in range(kills))
    for name, executor in executors.items():
        with tempfile.TemporaryDirectory() as folder, timed() as took:
            killed = Killed(make, Path(folder), fatal)
            found = dict(run_units(killed, list(enumerate(units)), executor))
            deaths = len(list(Path(folder).iterdir()))
        lost = len(units) - len(found)
        different = sum(not same(alone[place], result) for place, result in found.items())
        print(
            f"| {work} | {name} | {len(units)} | {deaths} | {took[0]:.1f} | {lost} | {different} |",
            flush=True,
        )
        faults += lost + different + (deaths < kills)
    return faults


@contextmanager
def timed() -> Iterator[list[float]]:
    """A list that gets the seconds that the block took."""
    seconds: list[float] = []
    start = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - start)


def same(first: object, second: object) -> bool:
    """Whether two results are equal, bit for bit."""
    if type(first) is not type(second):
        return False
    if isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame):
        return first.to_json(double_precision=15) == second.to_json(double_precision=15)
    if isinstance(first, StructureBatch) and isinstance(second, StructureBatch):
        return all(torch.equal(one, two) for one, two in zip(_tensors(first), _tensors(second), strict=True))
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if hasattr(first, "__dict__"):
        return all(same(value, vars(second)[name]) for name, value in vars(first).items())
    return first == second


def _tensors(structures: StructureBatch) -> list[torch.Tensor]:
    return [structures.cell, structures.atomic_numbers, structures.fractional]


if __name__ == "__main__":
    run(main)
