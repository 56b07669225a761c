"""Independent tasks in this process or in several, each result as it is finished."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.structures.convert import from_arrays, iterate_arrays
from gflownet_crystal.structures.structure import StructureBatch

Task = TypeVar("Task")
Result = TypeVar("Result")

Crystal = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
"""Cell (3, 3) in Å, atomic numbers (m,) and fractional coordinates (m, 3): what is sent to another process."""


def never() -> bool:
    """No stop is asked for."""
    return False


@dataclass(frozen=True)
class Work:
    """Settings of the execution of tasks.

    Attributes:
        processes: number of processes at once.
        cache: folder for what is worth keeping; None to keep nothing.
        should_stop: asked before each task; what is under way is still finished.
        quiet: show no progress.
    """

    processes: int = 1
    cache: Path | None = None
    should_stop: Callable[[], bool] = never
    quiet: bool = True


def to_crystals(structures: StructureBatch) -> list[Crystal]:
    """The arrays of each structure."""
    return list(iterate_arrays(structures))


def from_crystals(crystals: Sequence[Crystal]) -> StructureBatch:
    """At least one structure of arrays; no space group is claimed."""
    cells, numbers, points = zip(*crystals, strict=True)
    return from_arrays(cells, numbers, points)


def run_all(
    function: Callable[[Task], Result], tasks: Sequence[Task], work: Work, label: str
) -> list[Result]:
    """Results of all tasks, in their order; see :func:`run_tasks`.

    Raises:
        DataError: a process died.
        KeyboardInterrupt: a stop was asked for.
    """
    results = dict(run_tasks(function, tasks, work, label))
    return [results[place] for place in range(len(tasks))]


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], work: Work, label: str
) -> Iterator[tuple[int, Result]]:
    """Apply a function to all tasks.

    Args:
        function: picklable if there are several processes, as tasks and results.
        tasks: independent of each other.
        work: settings of the execution.
        label: name of what the progress counts.

    Yields:
        The place of a task and its result, in the order in which they are finished.

    Raises:
        DataError: a process died.
        KeyboardInterrupt: a stop was asked for, once what was under way is finished.
    """
    done = 0
    with Progress(len(tasks), label=label, quiet=work.quiet) as progress:
        for finished in _results(function, tasks, work):
            done += 1
            yield finished
            progress.advance("")
    if done < len(tasks):
        raise KeyboardInterrupt("what is done is kept; go on with the same command and resume=true")


def _results(
    function: Callable[[Task], Result], tasks: Sequence[Task], work: Work
) -> Iterator[tuple[int, Result]]:
    if work.processes == 1 or len(tasks) < 2:
        for place, task in enumerate(tasks):
            if work.should_stop():
                return
            yield place, function(task)
        return
    at_once = min(work.processes, len(tasks))
    with ProcessPoolExecutor(at_once, get_context("spawn"), _start_worker) as pool:
        try:
            yield from _in_pool(pool, function, tasks, at_once, work.should_stop)
        except BrokenProcessPool as error:
            raise DataError("a process died, perhaps for want of memory: give fewer processes") from error


def _in_pool(
    pool: ProcessPoolExecutor,
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    at_once: int,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, Result]]:
    waiting = iter(enumerate(tasks))
    running: dict[Future[Result], int] = {}
    while True:
        while len(running) < at_once and not should_stop() and (entry := next(waiting, None)) is not None:
            running[pool.submit(function, entry[1])] = entry[0]
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _start_worker() -> None:
    # an interrupt is for the process that started the others: it lets them finish what they are at
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
