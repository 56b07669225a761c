"""Many relaxations, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gflownet_crystal.common.pool import in_processes
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
        should_stop: function asked before each item; running items are finished.

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
    advice = "its finished crystals are kept; go on with resume=true and fewer processes"
    tasks = ((row, items[row]) for row in rows)
    for _, finished in in_processes(
        _relax_in_worker, tasks, processes, should_stop, advice, _start_worker, (load, settings)
    ):
        yield finished


def _start_worker(load: Loader, settings: RelaxationSettings) -> None:
    _PROCESS.append(Worker(load(), settings))


_PROCESS: list[Worker] = []
"""The worker of a process that :func:`relax_items` started; empty in all others."""


def _relax_in_worker(row: int, item: Item) -> Finished:
    return _PROCESS[0](row, item)
