"""Many relaxations, by an executor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.units import Lost, never, run_units
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

    def __call__(self, task: tuple[int, Item]) -> Finished:
        """Relax an item, given with its row; one that could not be read has failed already."""
        row, item = task
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
    executor: Executor | None = None,
    should_stop: Callable[[], bool] = never,
) -> Iterator[Finished]:
    """Relax some of the items, each as it is finished; one whose worker dies again and again has failed.

    Args:
        items: all of them.
        rows: those to relax.
        load: makes the model, once in each worker; has to be picklable where that is another process.
        settings: settings of the relaxations.
        executor: place of the work; None for this process.
        should_stop: function asked before each item; running items are finished.

    Raises:
        DataError: workers die before anything is finished.
    """
    tasks = [(row, items[row]) for row in rows]
    make = partial(_worker, load, settings)
    for place, finished in run_units(make, tasks, executor or LocalProcesses(), should_stop):
        if isinstance(finished, Lost):
            yield Finished(tasks[place][0], Relaxation("failed", finished.reason, 0), 0.0)
        else:
            yield finished


def _worker(load: Loader, settings: RelaxationSettings) -> Worker:
    return Worker(load(), settings)
