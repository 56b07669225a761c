"""Jobs of a queueing system that hold workers of dask: submitted, and submitted again when they are over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import SpecCluster

_OVER_SECONDS = 30.0
"""Seconds without workers after which a job that had some is over: its nannies may start a dead worker again."""

_LOOK_SECONDS = 0.2
"""Seconds between looks at the workers; a job whose workers live for less is not submitted again."""


def keep_jobs(cluster: SpecCluster, jobs: int) -> None:
    """Submit jobs, and others in place of those that end, until the cluster is closed.

    Args:
        cluster: cluster of dask-jobqueue, without jobs.
        jobs: number of jobs.

    Raises:
        OSError, RuntimeError: the command that submits jobs is missing, or refuses them.
    """
    from tornado.ioloop import PeriodicCallback

    watch = PeriodicCallback(_Jobs(cluster, jobs).look, 1000 * _LOOK_SECONDS)
    # the cluster stops it when it is closed
    cluster.periodic_callbacks["jobs"] = watch
    try:
        cluster.sync(_submit, cluster, jobs)
    except (OSError, RuntimeError):
        cluster.close()
        raise
    cluster.sync(_call, watch.start)


async def _call(function: Callable[[], None]) -> None:
    function()


class _Jobs:
    """Jobs of a cluster, and when workers of each were last seen.

    Args:
        cluster: the cluster.
        n: number of jobs wanted.
    """

    def __init__(self, cluster: SpecCluster, n: int) -> None:
        self._cluster, self._n = cluster, n
        self._seen: dict[str, float] = {}

    async def look(self) -> None:
        """Submit jobs in place of those that are over; those that wait in the queue have had no workers yet."""
        from distributed.core import Status

        now, workers = time.monotonic(), self._cluster.observed
        for job, spec in self._cluster.worker_spec.items():
            if any(f"{job}{suffix}" in workers for suffix in spec.get("group", [""])):
                self._seen[job] = now
        over = [job for job, last in self._seen.items() if now - last > _OVER_SECONDS]
        if not over or self._cluster.status is not Status.running:
            return
        for job in over:
            del self._seen[job]
        try:
            await self._cluster.scale_down(over)
            await _submit(self._cluster, self._n)
        except (OSError, RuntimeError) as error:
            sys.stderr.write(f"executor: a job that is over cannot be submitted again: {last_line(error)}\n")
            # those that were refused are tried again later
            refused = [name for name, job in self._cluster.workers.items() if job.status is Status.failed]
            self._seen |= dict.fromkeys(refused, now)


async def _submit(cluster: SpecCluster, n: int) -> None:
    """Submit jobs that lack to n.

    Raises:
        OSError, RuntimeError: one is refused.
    """
    from distributed.core import Status

    while len(cluster.worker_spec) < n:
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        await cluster
    except (OSError, RuntimeError):
        for job in cluster.workers.values():
            if job.status is Status.created:
                job.status = Status.failed
        raise


def last_line(error: Exception) -> str:
    """The last line of an error: of a command that failed, it says why."""
    return str(error).strip().splitlines()[-1]
