"""Independent tasks in several processes, which leave interrupts to the process that started them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from gflownet_crystal.common.errors import DataError

Result = TypeVar("Result")


def in_processes(
    function: Callable[..., Result],
    tasks: Iterable[tuple[Any, ...]],
    processes: int,
    should_stop: Callable[[], bool],
    advice: str = "give fewer processes",
    prepare: Callable[..., None] | None = None,
    prepared: tuple[Any, ...] = (),
) -> Iterator[tuple[int, Result]]:
    """Apply a function to tasks in several processes, each of one thread.

    Args:
        function: function of one task; pickle must take it, its arguments and its results.
        tasks: arguments of the function, one tuple a task.
        processes: number of processes.
        should_stop: function asked before each task; tasks under way are still finished.
        advice: advice at the end of the error.
        prepare: function called once in each process before its first task.
        prepared: arguments of ``prepare``.

    Yields:
        The index of a task and its result, in the order in which tasks are finished.

    Raises:
        DataError: a process died.
    """
    waiting = iter(enumerate(tasks))
    running: dict[Future[Result], int] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (prepare, prepared)) as pool:
        try:
            while True:
                while len(running) < processes and not should_stop() and (entry := next(waiting, None)):
                    running[pool.submit(function, *entry[1])] = entry[0]
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise DataError(f"a process died, perhaps for want of memory: {advice}") from error


def _start(prepare: Callable[..., None] | None, prepared: tuple[Any, ...]) -> None:
    # an interrupt is for the process that started the others: it lets them finish their tasks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    if prepare is not None:
        prepare(*prepared)
