"""Functions of units for tests: some are slow, some kill the process that does them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gflownet_crystal.common.executors import Executor, Pool

FATAL = -1
"""A unit that kills its worker each time."""


@dataclass(frozen=True)
class Squares:
    """Squares of whole numbers; each call leaves a mark in a folder.

    Attributes:
        folder: folder of the marks.
        once: numbers that kill their worker the first time.
        seconds: duration of a unit.
    """

    folder: Path
    once: frozenset[int] = frozenset()
    seconds: float = 0.0

    def __call__(self) -> Callable[[int], int]:
        """The function, made once in each worker."""
        (self.folder / f"made-{os.getpid()}").touch()
        return self.square

    def square(self, number: int) -> int:
        """The square of a number."""
        calls = len(list(self.folder.glob(f"call-{number}-*")))
        (self.folder / f"call-{number}-{calls}").touch()
        if number == FATAL or (number in self.once and not calls):
            os._exit(1)
        time.sleep(self.seconds)
        return number * number

    def calls(self, number: int) -> int:
        """Number of calls for a number."""
        return len(list(self.folder.glob(f"call-{number}-*")))

    def makers(self) -> int:
        """Number of processes that made the function."""
        return len(list(self.folder.glob("made-*")))


def sums(squares: Squares) -> Callable[[list[int]], int]:
    """Sums of the squares of some numbers."""
    return lambda numbers: sum(map(squares.square, numbers))


def each(numbers: list[int]) -> list[list[int]]:
    """Each number alone."""
    return [[number] for number in numbers]


class DeathError(Exception):
    """Said in place of a death, where workers are threads of this process."""


class Threads(Executor):
    """Two threads, which die by :class:`DeathError`: quick, where no process has to end.

    Args:
        retries: number of times that a unit is tried again.
    """

    def __init__(self, retries: int = 0) -> None:
        self.retries = retries

    @contextmanager
    def open(self, most: int) -> Iterator[Pool]:
        """The threads."""
        with ThreadPoolExecutor(2) as pool:
            yield _Threads(pool)


class _Threads(Pool):
    losses = (DeathError,)
    workers = 2

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool, self._running = pool, list[Future[Any]]()

    @property
    def room(self) -> int:
        self._running = [future for future in self._running if not future.done()]
        return 2 - len(self._running)

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        self._running.append(self._pool.submit(function, *args, **kwargs))
        return self._running[-1]


def refuse() -> Callable[[int], int]:
    """A model that cannot be loaded."""
    raise ValueError("no such model")


def die() -> Callable[[int], int]:
    """A model for which there is no memory."""
    os._exit(1)
