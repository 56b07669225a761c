"""Workers of dask as a pool: how many there are, and their calls."""

from __future__ import annotations

import sys
import time
import warnings
from asyncio import CancelledError
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.executors import Pool

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Remote

Given = ParamSpec("Given")
Result = TypeVar("Result")

_RENEW_SECONDS = 20.0
"""Seconds without any worker after which those on this machine are started again: a nanny may fail to do it."""

_LOOK_SECONDS = 1.0
"""Seconds between looks at the number of workers."""


class DaskPool(Pool):
    """Calls of workers of dask, and of short ones another each, which waits there.

    Args:
        client: connection to the scheduler.
        patience: seconds without any worker, after there were some, that end the work.
    """

    def __init__(self, client: Client, patience: float) -> None:
        from distributed import KilledWorker

        self.losses = (KilledWorker,)
        self._client, self._patience = client, patience
        self._running: set[Future[Any]] = set()
        self._n = self._seen = len(client.nthreads())
        self._looked = self._last_met = time.monotonic()
        self._met, self._told = self._n > 0, False
        self._renewed = self._looked
        self.deaths = 1 + client.run_on_scheduler(_allowed_failures)

    @property
    def workers(self) -> int:
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        return self._n

    @property
    def room(self) -> int:
        done = {future for future in self._running if future.done()}
        self._running -= done
        if any(not future.cancelled() and isinstance(future.exception(), self.losses) for future in done):
            self._look()
        return self.workers - len(self._running)

    @property
    def ahead(self) -> int:  # type: ignore[override]
        return self._n

    def _look(self) -> None:
        """Count the workers; those that have just come count from the next time."""
        found = len(self._client.nthreads())
        now = time.monotonic()
        if found:
            self._renewed = now
        elif now - self._renewed > _RENEW_SECONDS:
            self._renewed = now
            _renew(self._client)
        if found or not self._met:
            self._met, self._last_met = self._met or found > 0, now
        elif now - self._last_met > self._patience:
            raise DataError(
                "all workers of dask are gone; finished work is kept where it was written, go on with resume=true"
            )
        # one that dies in its first moments would not be started again by its nanny
        self._n, self._seen, self._looked = min(found, self._seen), found, now
        if not found and not self._told:
            self._told = True
            sys.stderr.write("executor: dask has no worker at present; units wait for one\n")

    def submit(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        with warnings.catch_warnings():
            # models go to a worker once, whatever their size
            warnings.filterwarnings("ignore", message="Sending large graph")
            remote = self._client.submit(function, *args, **kwargs, pure=False)
        future = Future[Result]()
        future.add_done_callback(lambda ended: remote.cancel() if ended.cancelled() else None)
        # a connected client has its loop
        self._client.loop.add_callback(_follow, remote, future)  # type: ignore[union-attr]
        self._running.add(future)
        return future


async def _follow(remote: Remote[Any], future: Future[Any]) -> None:
    """Give a call's outcome to its future, whatever it is.

    The client's own executor gives none where a worker dies after its call and before its result was fetched.
    """
    # one that was cancelled meanwhile takes no outcome
    with suppress(InvalidStateError):
        try:
            future.set_result(await remote)
        except CancelledError:
            future.cancel()
            future.set_running_or_notify_cancel()
        except Exception as error:
            future.set_exception(error)


def _renew(client: Client) -> None:
    """Start the workers of this machine again; those of others are not ours to start."""
    from distributed import LocalCluster

    if isinstance(cluster := client.cluster, LocalCluster):
        n = len(cluster.worker_spec)
        cluster.scale(0)
        cluster.scale(n)


def _allowed_failures(dask_scheduler: Any) -> int:
    return int(dask_scheduler.allowed_failures)
