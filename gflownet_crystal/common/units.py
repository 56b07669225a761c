"""Independent units of work, shared among the workers of an executor, each result as it is finished.

Short units travel in groups. A unit whose worker dies is tried again, alone, and given up after some deaths: it costs
itself and no other. One that can be divided is done in its parts then. Units have to be idempotent, as those of a group
are done again.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Generic, TypeVar

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.executors import Executor, Pool
from gflownet_crystal.common.unit_worker import Job, Results, do_units

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Make = Callable[[], Callable[[Unit], Result]]
"""Makes the function of a unit, once in each worker: it may load a model first."""
Divide = Callable[[Unit], Sequence[Unit]]
"""Parts of a unit; one of a unit that cannot be divided."""

GROUP_SECONDS = 0.25
"""Duration of a group of short units; a stop waits for a group."""

_POLL = 1.0
"""Seconds between looks at the number of workers, and at a wish to stop."""

_HOPELESS = 5
"""Units given up, of which none was finished, after which the workers are to blame."""


@dataclass(frozen=True)
class Lost:
    """The end of a unit whose worker died, each time that it was tried.

    Attributes:
        reason: the reason, in a few words.
    """

    reason: str


def never() -> bool:
    """No stop is asked for."""
    return False


class Workers(Generic[Unit, Result]):
    """Workers that share units; see :func:`open_workers`.

    Attributes:
        deaths: number of workers that have died.
    """

    def __init__(self, make: Make[Unit, Result], executor: Executor) -> None:
        self._make, self._executor = make, executor
        self._function: Callable[[Unit], Result] | None = None
        self._opened = ExitStack()
        self._pool: Pool | None = None
        self._job: Job | None = None
        self.deaths = 0

    def run(
        self, units: Sequence[Unit], should_stop: Callable[[], bool] = never
    ) -> Iterator[tuple[int, Result | Lost]]:
        """Do units.

        Args:
            units: units, picklable where they leave this process, as their results are.
            should_stop: function asked before each group of units; those that are begun are still finished.

        Yields:
            The place of a unit and its result, in the order in which they are finished.

        Raises:
            ConfigError: the executor cannot be reached, or a worker has another version of the package.
            DataError: workers die and nothing is finished.
        """
        for place, _, found in self._done(units, should_stop, _whole):
            yield place, found

    def run_divisible(
        self, units: Sequence[Unit], divide: Divide[Unit], should_stop: Callable[[], bool] = never
    ) -> Iterator[tuple[Unit, Result | Lost]]:
        """Do units; one whose worker dies each time is done in its parts, which are given up one by one.

        Args:
            units: units, as for :meth:`run`.
            divide: gives the parts of a unit.
            should_stop: function asked before each group of units.

        Yields:
            A unit, or a part of one that was lost, and its result, in the order in which they are finished.

        Raises:
            ConfigError, DataError: as :meth:`run`.
        """
        for _, unit, found in self._done(units, should_stop, divide):
            yield unit, found

    def _done(
        self, units: Sequence[Unit], should_stop: Callable[[], bool], divide: Divide[Unit]
    ) -> Iterator[tuple[int, Unit, Result | Lost]]:
        """Place, unit and result of each; places of parts follow those of the units."""
        if self._executor.in_process:
            for place, unit in enumerate(units):
                if should_stop():
                    return
                if self._function is None:
                    self._function = self._make()
                yield place, unit, self._function(unit)
        elif units:
            if self._pool is None or self._job is None:
                self._job = Job.of(self._make)
                self._pool = self._opened.enter_context(self._executor.open(len(units)))
            shared: _Shared[Unit, Result] = _Shared(
                units, self._pool, self._job, self._executor, should_stop, divide
            )
            try:
                yield from shared
            finally:
                self.deaths += shared.deaths
                shared.cancel()

    def close(self) -> None:
        """Let the workers go."""
        self._opened.close()


@contextmanager
def open_workers(make: Make[Unit, Result], executor: Executor) -> Iterator[Workers[Unit, Result]]:
    """Workers for units of one kind, begun when the first units come, and gone with the block.

    Args:
        make: makes the function of a unit, once in each worker; picklable where units leave this process.
        executor: place of the work.
    """
    workers = Workers(make, executor)
    try:
        yield workers
    finally:
        workers.close()


def run_units(
    make: Make[Unit, Result],
    units: Sequence[Unit],
    executor: Executor,
    should_stop: Callable[[], bool] = never,
) -> Iterator[tuple[int, Result | Lost]]:
    """Do units once; see :func:`open_workers` and :meth:`Workers.run`."""
    with open_workers(make, executor) as workers:
        yield from workers.run(units, should_stop)


def _whole(unit: Unit) -> Sequence[Unit]:
    return [unit]


class _Shared(Generic[Unit, Result]):
    """Units on their way through a pool; iteration gives the finished ones."""

    def __init__(
        self,
        units: Sequence[Unit],
        pool: Pool,
        job: Job,
        executor: Executor,
        should_stop: Callable[[], bool],
        divide: Divide[Unit],
    ) -> None:
        self._units, self._pool, self._job = list(units), pool, job
        self._executor, self._should_stop, self._divide = executor, should_stop, divide
        # units from one place to the other have not been begun; parts of lost ones come after them
        self._next, self._end = 0, len(units)
        # groups that lost their worker, or met one that does not know the job
        self._again: deque[tuple[list[int], bool]] = deque()
        self._running: dict[Future[Results[Result] | None], list[int]] = {}
        self._deaths: Counter[int] = Counter()
        self._seconds, self._finished, self._given_up = 0.0, 0, 0
        self.deaths = 0

    def __iter__(self) -> Iterator[tuple[int, Unit, Result | Lost]]:
        while True:
            self._submit()
            if self._running:
                for future in wait(self._running, _POLL, FIRST_COMPLETED).done:
                    for place, found in self._ended(future):
                        yield place, self._units[place], found
            elif self._should_stop() or not (self._again or self._next < self._end):
                return
            else:
                # no worker is there yet
                time.sleep(_POLL)

    def cancel(self) -> None:
        """Forget units that no worker has begun."""
        for future in self._running:
            future.cancel()

    def _submit(self) -> None:
        while not self._should_stop():
            room = self._pool.room
            whole = False
            if room > 0 and self._again:
                places, whole = self._again.popleft()
            # units of their own wait for no other: a death is then theirs
            elif room > 0 or (room + self._pool.ahead > 0 and self._size() > 1):
                places = self._group()
            else:
                return
            if not places:
                return
            units = pickle.dumps([self._units[place] for place in places])
            job = self._job if whole else self._job.named
            self._running[self._pool.submit(do_units, job, units)] = places

    def _group(self) -> list[int]:
        """The next units."""
        first, self._next = self._next, min(self._next + self._size(), self._end)
        return list(range(first, self._next))

    def _size(self) -> int:
        """Units of a group: about a quarter of a second of work, and no more than keeps all workers busy to the end."""
        left = self._end - self._next
        mean = self._seconds / self._finished if self._finished else GROUP_SECONDS
        fair = ceil(left / (2 * max(1, self._pool.workers)))
        return max(1, min(fair, int(GROUP_SECONDS / max(mean, 1e-6))))

    def _ended(self, future: Future[Results[Result] | None]) -> Iterator[tuple[int, Result | Lost]]:
        places = self._running.pop(future)
        try:
            found = future.result()
        except self._pool.losses as error:
            yield from self._lost(places, error)
            return
        if found is None:
            # a new worker: the job itself goes with them
            self._again.appendleft((places, True))
            return
        self._seconds += found.seconds
        self._finished += len(places)
        yield from zip(places, found.results, strict=True)

    def _lost(self, places: list[int], error: BaseException) -> Iterator[tuple[int, Lost]]:
        """Try units again, each alone; divide one that was alone often enough, or give it up."""
        self.deaths += self._pool.deaths
        if len(places) > 1:
            self._again.extend(([place], False) for place in places)
            return
        place = places[0]
        self._deaths[place] += self._pool.deaths
        if self._deaths[place] <= self._executor.retries:
            self._again.append((places, False))
            return
        parts = self._divide(self._units[place])
        if len(parts) > 1:
            self._again.extend(([len(self._units) + number], False) for number in range(len(parts)))
            self._units.extend(parts)
            return
        self._given_up += 1
        if self._given_up >= _HOPELESS and not self._finished:
            raise DataError(
                f"workers die before they have finished anything, perhaps for want of memory: {self._executor.advice}"
            ) from error
        yield place, Lost(f"its worker died {self._deaths[place]} times, perhaps for want of memory")
