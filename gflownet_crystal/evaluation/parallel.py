"""Independent tasks in this process or in several, each result as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.pool import in_processes
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.structures.convert import from_arrays, iterate_arrays
from gflownet_crystal.structures.structure import StructureBatch

Task = TypeVar("Task")
Result = TypeVar("Result")

Crystal = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
"""Cell (3, 3) in Å, atomic numbers (m,) and fractional coordinates (m, 3), as sent to another process."""


def never() -> bool:
    """No stop is asked for."""
    return False


@dataclass(frozen=True)
class Work:
    """Settings of the execution of tasks.

    Attributes:
        processes: number of processes at once.
        cache: folder for results to keep; None to keep nothing.
        should_stop: function asked before each task; running tasks are finished.
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
        label: name of the counted things in the progress bar.

    Yields:
        The place of a task and its result, in the order in which they are finished.

    Raises:
        DataError: a process died.
        KeyboardInterrupt: a stop was requested, once the running tasks are finished.
    """
    done = 0
    with Progress(len(tasks), label=label, quiet=work.quiet) as progress:
        for finished in _results(function, tasks, work):
            done += 1
            yield finished
            progress.advance("")
    if done < len(tasks):
        raise KeyboardInterrupt("finished work is kept; go on with the same command and resume=true")


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
    yield from in_processes(function, ((task,) for task in tasks), at_once, work.should_stop)
