"""Executor on MPI: the ranks of a job are its workers, all but the first, which runs the command itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.executors import Executor, Pool, leave_interrupts
from gflownet_crystal.common.values import at_least, check_fields

if TYPE_CHECKING:
    from mpi4py.futures import MPIPoolExecutor

Given = ParamSpec("Given")
Result = TypeVar("Result")

_START = (
    "start the command as mpiexec -n 9 python -m mpi4py.futures -m gflownet_crystal VERB ... for 8 workers"
)


@dataclass(frozen=True)
class MpiRanks(Executor):
    """Ranks of the MPI job that this process is the first of; a rank that dies ends the whole job.

    Attributes:
        processes: number of processes that a command asks for, 1: the number of ranks says how many there are.
    """

    processes: int = 1

    def __post_init__(self) -> None:
        """Check the value and the way in which this process was started.

        Raises:
            ConfigError: mpi4py is not installed, or this process has no ranks to give work to.
        """
        check_fields(self, processes=at_least(1))
        if self.processes > 1:
            raise ConfigError(
                "processes is for workers on this machine, and those of executor=mpi are its ranks"
            )
        if find_spec("mpi4py") is None:
            raise ConfigError(
                "mpi4py is not installed; install it with pip install 'gflownet_crystal[mpi]', or give executor=local"
            )
        # without it, each rank would run the whole command
        if "mpi4py.futures" not in sys.orig_argv:
            raise ConfigError(f"executor=mpi finds no ranks that wait for work: {_START}")
        if (ranks := _ranks()) < 2:
            raise ConfigError(
                f"executor=mpi has {ranks} rank, and needs one for this process and more: {_START}"
            )

    @contextmanager
    def open(self, most: int) -> Iterator[Pool]:
        """All other ranks, which stay for the next pool and end with the command."""
        from mpi4py.futures import MPIPoolExecutor

        with MPIPoolExecutor(initializer=leave_interrupts, main=False) as executor:
            try:
                yield _Ranks(executor)
            finally:
                executor.shutdown(cancel_futures=True)


class _Ranks(Pool):
    """Calls of ranks."""

    def __init__(self, executor: MPIPoolExecutor) -> None:
        self._executor, self._running = executor, set[Future[Any]]()

    @property
    def workers(self) -> int:
        return self._executor.num_workers

    @property
    def room(self) -> int:
        self._running = {future for future in self._running if not future.done()}
        return self.workers - len(self._running)

    def submit(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        future: Future[Result] = self._executor.submit(function, *args, **kwargs)
        self._running.add(future)
        return future


def _ranks() -> int:
    from mpi4py import MPI

    return MPI.COMM_WORLD.Get_size()
