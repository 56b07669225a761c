"""Executors on dask: a scheduler that runs already, or workers that a queueing system starts as jobs."""

from __future__ import annotations

import importlib
import logging
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from gflownet_crystal.common.dask_jobs import keep_jobs, last_line
from gflownet_crystal.common.dask_pool import DaskPool
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.executors import Executor, Pool
from gflownet_crystal.common.values import at_least, check_fields, optional, path_text, thread_count

if TYPE_CHECKING:
    from distributed import Client

_CLIENTS: WeakKeyDictionary[DaskExecutor, Client] = WeakKeyDictionary()
"""Connections of this process: one an executor, kept from pool to pool, as jobs take long to start."""


class DaskExecutor(Executor):
    """Workers of dask.

    A worker that dies, or whose machine is lost, costs the units that it was doing; workers may come and go.

    Attributes:
        patience: seconds without any worker, after there were some, that end the work.
    """

    patience: ClassVar[float] = 600.0

    @abstractmethod
    def _connect(self) -> Client:
        """A new connection.

        Raises:
            ConfigError: the scheduler cannot be reached, or a job cannot be described.
        """

    @contextmanager
    def open(self, most: int) -> Iterator[Pool]:
        """The workers that the scheduler has; units wait where it has none yet."""
        _check_installed()
        if self not in _CLIENTS:
            _CLIENTS[self] = self._connect()
        with _told():
            yield DaskPool(_CLIENTS[self], self.patience)

    def close(self) -> None:
        """End the connection, and the workers that were started for it; the end of the process does it too."""
        if (client := _CLIENTS.pop(self, None)) is not None:
            cluster = client.cluster
            client.close()
            if cluster is not None:
                cluster.close()


@dataclass(frozen=True, eq=False)
class DaskWorkers(DaskExecutor):
    """Workers of a scheduler of dask, or of one that is started on this machine.

    Attributes:
        scheduler: address of the scheduler, as ``tcp://host:8786``, or its scheduler file (.json); None to start one,
            and workers, on this machine.
        processes: number of workers on this machine, where no scheduler is given.
        retries: number of times that a unit is tried again whose worker died.
        timeout: seconds that the scheduler has to answer.
    """

    scheduler: str | None = None
    processes: int = 1
    retries: int = 2
    timeout: int = 30

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is out of range.
        """
        check_fields(
            self,
            scheduler=optional(path_text),
            processes=thread_count,
            retries=at_least(0),
            timeout=at_least(1),
        )
        if self.scheduler is not None and self.processes > 1:
            raise ConfigError(
                "processes is for workers on this machine, and executor.scheduler has workers of its own: give one "
                "of them"
            )

    def _connect(self) -> Client:
        from distributed import Client, LocalCluster

        if self.scheduler is None:
            # memory is not watched, as that of other processes of this machine is not
            return _own(
                LocalCluster,
                {
                    "n_workers": self.processes,
                    "threads_per_worker": 1,
                    "dashboard_address": "127.0.0.1:0",
                    "memory_limit": 0,
                    "silence_logs": logging.CRITICAL,
                },
            )
        if self.scheduler.endswith(".json") and not Path(self.scheduler).is_file():
            # dask would wait for it without end
            raise ConfigError(f"executor.scheduler={self.scheduler}: no such scheduler file of dask")
        place = {"scheduler_file" if self.scheduler.endswith(".json") else "address": self.scheduler}
        try:
            return Client(**place, timeout=self.timeout, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"no scheduler of dask answers at executor.scheduler={self.scheduler} within {self.timeout} s: start "
                "it with dask scheduler, or give another address"
            ) from error


@dataclass(frozen=True, eq=False)
class DaskJobs(DaskExecutor):
    """Workers in jobs of a queueing system, started by dask-jobqueue and ended with this process.

    A job that is over, by its walltime or preempted, is submitted again.

    Attributes:
        cluster: class of the cluster, such as ``dask_jobqueue.SLURMCluster``.
        jobs: number of jobs.
        processes: number of workers of a job, of one core each.
        memory: memory of a job, as ``16GB``; it is shared among its workers.
        walltime: longest duration of a job, as ``04:00:00``.
        queue: queue, or partition, of the jobs; None for the system's own.
        options: further arguments of the class, such as ``{account: mine}``.
        retries: number of times that a unit is tried again whose worker died.
    """

    cluster: str
    jobs: int
    memory: str
    processes: int = 1
    walltime: str = "04:00:00"
    queue: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    retries: int = 2

    advice: ClassVar[str] = "give fewer processes a job, or more executor.memory"
    # the next job may wait in the queue for days, as the first
    patience: ClassVar[float] = math.inf

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is out of range.
        """
        check_fields(self, jobs=at_least(1), processes=at_least(1), retries=at_least(0))

    def _connect(self) -> Client:
        arguments = {
            "cores": self.processes,
            "processes": self.processes,
            "memory": self.memory,
            "walltime": self.walltime,
            "queue": self.queue,
            "scheduler_options": {"dashboard": False, "dashboard_address": ":0"},
            **self.options,
        }
        return _own(_cluster_class(self.cluster), arguments, jobs=self.jobs)


def _own(kind: Callable[..., Any], arguments: Mapping[str, object], jobs: int | None = None) -> Client:
    """A connection to a cluster that is started for it, whose deaths are told at once.

    Args:
        kind: class of the cluster.
        arguments: arguments of the class.
        jobs: number of jobs that are asked for; None for a cluster that has its workers.

    Raises:
        ConfigError: the cluster's class refuses its arguments, or cannot be started.
    """
    import dask
    from distributed import Client

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        try:
            cluster = kind(**arguments)
            if jobs is not None:
                keep_jobs(cluster, jobs)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            name = getattr(kind, "__name__", kind)
            raise ConfigError(f"executor: {name} cannot be started: {last_line(error)}") from error
    return Client(cluster, set_as_default=False)


def _cluster_class(path: str) -> Callable[..., Any]:
    """The class of a cluster.

    Raises:
        ConfigError: there is none of this path.
    """
    from distributed.deploy.cluster import Cluster

    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None) if module else None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"executor.cluster={path}: {error}; install dask-jobqueue with pip install 'gflownet_crystal[cluster]'"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Cluster)):
        raise ConfigError(f"executor.cluster={path} is no cluster of dask, as dask_jobqueue.SLURMCluster is")
    return found


def _check_installed() -> None:
    """Check that dask is there, and let it report errors alone.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import dask

        # deaths of workers are counted and told by whoever gave the units
        quiet = {"logging": {"distributed": "critical"}}
        dask.config.update_defaults(quiet)
        importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "dask is not installed; install it with pip install 'gflownet_crystal[cluster]', or give executor=local"
        ) from error


@contextmanager
def _told() -> Iterator[None]:
    """Tell errors of the connection in one line.

    Raises:
        ConfigError: workers cannot import the package.
        DataError: the scheduler is gone.
    """
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError

    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a worker of dask cannot import {error.name}: install gflownet_crystal, and the extras that are used, on "
            "all machines"
        ) from error
    except (CommClosedError, CancelledError) as error:
        raise DataError(
            "the scheduler of dask is gone; finished work is kept where it was written"
        ) from error
