"""Executors: where independent units of work are done, in this process, in several, or elsewhere.

An executor opens a pool, which takes calls as :class:`concurrent.futures.Executor` does.
:mod:`gflownet_crystal.common.units` shares units among its workers.
"""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import ClassVar, ParamSpec, TypeVar

from gflownet_crystal.common.values import at_least, check_fields, thread_count

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Pool(ABC):
    """Workers that take calls.

    Attributes:
        losses: errors of a future whose worker died.
        deaths: number of workers that died before such an error is raised.
        ahead: number of calls that it takes beyond one a worker, so that none waits for the way to this process.
    """

    losses: tuple[type[BaseException], ...] = ()
    deaths: int = 1
    ahead: int = 0

    @property
    @abstractmethod
    def workers(self) -> int:
        """Number of workers at present."""

    @property
    @abstractmethod
    def room(self) -> int:
        """Number of workers that wait for a call; below 0 where calls wait for workers."""

    @abstractmethod
    def submit(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Call a function in a worker that waits; function, arguments and result are pickled."""


class Executor(ABC):
    """A place where independent units of work are done.

    Attributes:
        retries: number of times that a unit is tried again whose worker died.
        advice: advice where workers die and nothing is finished.
    """

    retries: int = 2
    advice: ClassVar[str] = "give fewer workers, or more memory"

    @property
    def in_process(self) -> bool:
        """Whether all is done in this process, one unit after the other."""
        return False

    @abstractmethod
    def open(self, most: int) -> AbstractContextManager[Pool]:
        """A pool of workers.

        Args:
            most: number of calls at once that there will be at most.

        Raises:
            ConfigError: a package is not installed, or a scheduler cannot be reached.
        """


@dataclass(frozen=True)
class LocalProcesses(Executor):
    """Processes of this machine, each of one thread; a single one is this process itself.

    Attributes:
        processes: number of processes.
        retries: number of times that a unit is tried again whose process died.
    """

    processes: int = 1
    retries: int = 2

    advice: ClassVar[str] = "give fewer processes"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is out of range.
        """
        check_fields(self, processes=thread_count, retries=at_least(0))

    @property
    def in_process(self) -> bool:
        return self.processes == 1

    @contextmanager
    def open(self, most: int) -> Iterator[Pool]:
        """Processes that end with the block, or with this process; interrupts are left to it."""
        pool = _Processes(min(self.processes, max(1, most)))
        try:
            yield pool
        finally:
            pool.close()


class _Processes(Pool):
    """Pools of one process each: the death of one breaks no other, and says which call it was."""

    losses = (BrokenProcessPool,)

    def __init__(self, n: int) -> None:
        self._waiting = [_one_process() for _ in range(n)]
        self._busy: dict[Future[object], ProcessPoolExecutor] = {}

    @property
    def workers(self) -> int:
        return len(self._waiting) + len(self._busy)

    @property
    def room(self) -> int:
        for future in [future for future in self._busy if future.done()]:
            process = self._busy.pop(future)
            died = not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)
            self._waiting.append(self._new(process) if died else process)
        return len(self._waiting)

    def submit(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        process = self._waiting.pop()
        try:
            future = process.submit(function, *args, **kwargs)
        except BrokenProcessPool:
            # it died while it waited
            process = self._new(process)
            future = process.submit(function, *args, **kwargs)
        self._busy[future] = process  # type: ignore[index]
        return future

    @staticmethod
    def _new(broken: ProcessPoolExecutor) -> ProcessPoolExecutor:
        broken.shutdown(wait=False)
        return _one_process()

    def close(self) -> None:
        """End the processes, once their calls are over."""
        for process in (*self._waiting, *self._busy.values()):
            process.shutdown(cancel_futures=True)


def _one_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), _start)


def leave_interrupts() -> None:
    """Leave interrupts to the process that gives the calls: it lets its workers finish them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _start() -> None:
    leave_interrupts()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # a killed parent cannot tell its processes to end
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)
