"""Independent tasks of an evaluation, by an executor, each result as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.units import Lost, never, run_units
from gflownet_crystal.structures.convert import from_arrays, iterate_arrays
from gflownet_crystal.structures.structure import StructureBatch

Task = TypeVar("Task")
Result = TypeVar("Result")

Crystal = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
"""Cell (3, 3) in Å, atomic numbers (m,) and fractional coordinates (m, 3), as sent to another process."""


@dataclass(frozen=True)
class Work:
    """Settings of the execution of tasks.

    Attributes:
        executor: place of the execution.
        cache: folder for results to keep; None to keep nothing.
        should_stop: function asked before each task; running tasks are finished.
        quiet: show no progress.
    """

    executor: Executor = field(default_factory=LocalProcesses)
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
        DataError: workers died of a task.
        KeyboardInterrupt: a stop was asked for.
    """
    results: dict[int, Result] = {}
    for place, result in run_tasks(function, tasks, work, label):
        if isinstance(result, Lost):
            raise DataError(f"{label}: a task has no result, as {result.reason}")
        results[place] = result
    return [results[place] for place in range(len(tasks))]


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], work: Work, label: str
) -> Iterator[tuple[int, Result | Lost]]:
    """Apply a function to all tasks.

    Args:
        function: picklable where tasks leave this process, as they and their results are.
        tasks: independent of each other.
        work: settings of the execution.
        label: name of the counted things in the progress bar.

    Yields:
        The place of a task and its result, in the order in which they are finished.

    Raises:
        DataError: workers die and nothing is finished.
        KeyboardInterrupt: a stop was requested, once the running tasks are finished.
    """
    done = 0
    with Progress(len(tasks), label=label, quiet=work.quiet) as progress:
        # a single task is not worth another process
        executor = work.executor if len(tasks) > 1 else LocalProcesses()
        for finished in run_units(partial(_same, function), tasks, executor, work.should_stop):
            done += 1
            yield finished
            progress.advance("")
    if done < len(tasks):
        raise KeyboardInterrupt("finished work is kept; go on with the same command and resume=true")


def _same(function: Callable[[Task], Result]) -> Callable[[Task], Result]:
    return function
