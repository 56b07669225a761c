"""The part of :mod:`gflownet_crystal.common.units` that runs in a worker: the function of a job, made once and kept."""

from __future__ import annotations

import importlib.metadata
import pickle
import platform
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Self, TypeVar

from gflownet_crystal import __version__
from gflownet_crystal.common.errors import ConfigError

Result = TypeVar("Result")

_KEPT = 2
"""Functions that a worker keeps, of the newest jobs."""

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {}
# workers of dask may have several threads, and models are not made for that
_ONE_AT_A_TIME = threading.Lock()


class Results(NamedTuple, Generic[Result]):
    """Results of a group of units.

    Attributes:
        results: the result of each.
        seconds: duration, without the making of the function.
    """

    results: list[Result]
    seconds: float


@dataclass(frozen=True)
class Job:
    """Units of one kind.

    Attributes:
        name: name of its own.
        versions: versions of the package and of PyTorch that its results depend on.
        make: pickled and compressed maker of the function of a unit; None for a job that a worker knows.
    """

    name: str
    versions: str
    make: bytes | None

    @classmethod
    def of(cls, make: Callable[[], Callable[[Any], Any]]) -> Self:
        """A new job.

        Raises:
            ConfigError: something of it cannot be pickled.
        """
        try:
            # tables of compositions are mostly zeros
            made = zlib.compress(pickle.dumps(make), 1)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"this work cannot go to other processes ({error}): give processes=1 and executor=local"
            ) from error
        return cls(uuid.uuid4().hex, _versions(), made)

    @property
    def named(self) -> Self:
        """The job by its name alone."""
        return replace(self, make=None)


def do_units(job: Job, units: bytes) -> Results[Any] | None:
    """Do a group of units.

    Args:
        job: the job, whose function is made if this worker has not done so.
        units: pickled list of units.

    Returns:
        The results; None where the worker does not know the job, which came by its name alone.

    Raises:
        ConfigError: this worker has another version of the package, or of PyTorch.
    """
    with _ONE_AT_A_TIME:
        if job.name not in _FUNCTIONS:
            if job.make is None:
                return None
            _check(job)
            while len(_FUNCTIONS) >= _KEPT:
                del _FUNCTIONS[next(iter(_FUNCTIONS))]
            _FUNCTIONS[job.name] = pickle.loads(zlib.decompress(job.make))()
        function = _FUNCTIONS[job.name]
        if "torch" in sys.modules:
            # the makers of most jobs load it; a worker that does not need it starts ten times as fast
            sys.modules["torch"].set_num_threads(1)
        start = time.perf_counter()
        results = [function(unit) for unit in pickle.loads(units)]
        return Results(results, time.perf_counter() - start)


def _versions() -> str:
    return f"gflownet_crystal {__version__}, torch {importlib.metadata.version('torch')}"


def _check(job: Job) -> None:
    if (own := _versions()) != job.versions:
        raise ConfigError(
            f"a worker on {platform.node()} has {own}, and this process {job.versions}: install the same on both"
        )
