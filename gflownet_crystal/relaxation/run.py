"""Many relaxations, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import torch

from gflownet_crystal.common.pool import in_processes
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.relax import relax_in_batches
from gflownet_crystal.relaxation.results import Relaxation
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.structure import StructureBatch

Loader = Callable[[], StructureEnergies]


class Finished(NamedTuple):
    """A relaxation that is over.

    Attributes:
        row: row of the item.
        result: result of its relaxation.
        seconds: its share of the time.
    """

    row: int
    result: Relaxation
    seconds: float


@dataclass(frozen=True)
class Worker:
    """Relaxes items in batches.

    Attributes:
        energies: the model.
        settings: settings of the relaxations.
    """

    energies: StructureEnergies
    settings: RelaxationSettings

    def __call__(self, tasks: Iterable[tuple[int, StructureBatch]]) -> Iterator[Finished]:
        """Relax structures with their rows, each as it is finished."""
        for done in relax_in_batches(tasks, self.energies, self.settings):
            yield Finished(done.key, done.result, done.seconds)


def relax_items(
    items: Sequence[Item],
    rows: Sequence[int],
    load: Loader,
    settings: RelaxationSettings,
    processes: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Finished]:
    """Relax some of the items, each as it is finished; those that could not be read have failed already.

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
    for row in rows:
        if items[row].structure is None:
            yield Finished(row, Relaxation("failed", items[row].reason, 0), 0.0)
    read = [(row, structure) for row in rows if (structure := items[row].structure) is not None]
    if processes == 1:
        yield from Worker(load(), settings)(takewhile(lambda _: not should_stop(), read))
        return
    advice = "its finished crystals are kept; go on with resume=true and fewer processes"
    started = (load, settings)
    for _, finished in in_processes(
        _relax_in_worker,
        _tasks(read, processes, settings.batch),
        processes,
        should_stop,
        advice,
        _start_worker,
        started,
    ):
        yield from finished


def _tasks(
    read: Sequence[tuple[int, StructureBatch]], processes: int, atoms: int
) -> list[tuple[list[tuple[int, StructureBatch]]]]:
    """Crystals in portions: two batches' worth each, fewer where that leaves a process without work."""
    sizes = torch.tensor([len(structure.fractional) for _, structure in read], dtype=torch.int64)
    most = max(1, min(2 * atoms, int(sizes.sum()) // processes))
    return [
        ([read[place] for place in part.tolist()],)
        for part in cut_by_atoms(torch.arange(len(read)), sizes, most)
    ]


def _start_worker(load: Loader, settings: RelaxationSettings) -> None:
    _PROCESS.append(Worker(load(), settings))


_PROCESS: list[Worker] = []
"""The worker of a process that :func:`relax_items` started; empty in all others."""


def _relax_in_worker(tasks: list[tuple[int, StructureBatch]]) -> list[Finished]:
    return list(_PROCESS[0](tasks))
