"""Many relaxations, in this process or in several."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple

import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.relax import Relaxation, relax
from gflownet_crystal.relaxation.settings import RelaxationSettings

Loader = Callable[[], StructureEnergies]


class Finished(NamedTuple):
    """A relaxation that is over.

    Attributes:
        row: row of the item.
        result: result of its relaxation.
        seconds: that it took.
    """

    row: int
    result: Relaxation
    seconds: float


@dataclass(frozen=True)
class Worker:
    """Relaxes items one after the other.

    Attributes:
        energies: the model.
        settings: settings of the relaxations.
    """

    energies: StructureEnergies
    settings: RelaxationSettings

    def __call__(self, row: int, item: Item) -> Finished:
        """Relax an item; one that could not be read has failed already."""
        start = time.perf_counter()
        if item.structure is None:
            result = Relaxation("failed", item.reason, 0)
        else:
            result = relax(item.structure, self.energies, self.settings)
        return Finished(row, result, time.perf_counter() - start)


def relax_items(
    items: Sequence[Item],
    rows: Sequence[int],
    load: Loader,
    settings: RelaxationSettings,
    processes: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Finished]:
    """Relax some of the items, each as it is finished.

    Args:
        items: all of them.
        rows: those to relax.
        load: makes the model, once in each process; has to be picklable for several.
        settings: settings of the relaxations.
        processes: number of processes at once.
        should_stop: asked before each item; what is under way is still finished.

    Raises:
        DataError: a process died.
    """
    if processes == 1:
        worker = Worker(load(), settings)
        for row in rows:
            if should_stop():
                return
            yield worker(row, items[row])
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_worker, (load, settings)) as pool:
        try:
            yield from _in_pool(pool, items, rows, processes, should_stop)
        except BrokenProcessPool as error:
            raise DataError(
                "a process died, perhaps for want of memory; what is finished is kept: go on with resume=true "
                "and fewer processes"
            ) from error


def _in_pool(
    pool: ProcessPoolExecutor,
    items: Sequence[Item],
    rows: Sequence[int],
    at_once: int,
    should_stop: Callable[[], bool],
) -> Iterator[Finished]:
    waiting = iter(rows)
    running: set[Future[Finished]] = set()
    while True:
        while len(running) < at_once and not should_stop() and (row := next(waiting, None)) is not None:
            running.add(pool.submit(_relax_in_worker, row, items[row]))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _start_worker(load: Loader, settings: RelaxationSettings) -> None:
    # an interrupt is for the process that started the others: it lets them finish what they are at
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    _PROCESS.append(Worker(load(), settings))


_PROCESS: list[Worker] = []
"""The worker of a process that :func:`relax_items` started; empty in all others."""


def _relax_in_worker(row: int, item: Item) -> Finished:
    return _PROCESS[0](row, item)
