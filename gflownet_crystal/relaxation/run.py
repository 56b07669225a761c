"""Many relaxations, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import NamedTuple

import torch

from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.units import Lost, never, open_workers
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.relax import relax_in_batches
from gflownet_crystal.relaxation.results import Relaxation
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.structure import StructureBatch

Loader = Callable[[], StructureEnergies]
Crystals = list[tuple[int, StructureBatch]]

_PORTIONS = 4
"""Least number of portions that few crystals are cut into, so that several workers have work."""


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
    executor: Executor | None = None,
    should_stop: Callable[[], bool] = never,
) -> Iterator[Finished]:
    """Relax some of the items, each as it is finished; those that could not be read have failed already.

    Args:
        items: all of them.
        rows: rows to relax.
        load: makes the model, once in each worker; picklable where the work leaves this process.
        settings: settings of the relaxations.
        executor: place of the work; None for this process.
        should_stop: function asked before each item; running items are finished.

    Raises:
        DataError: workers die before anything is finished.
    """
    executor = executor or LocalProcesses()
    for row in rows:
        if items[row].structure is None:
            yield Finished(row, Relaxation("failed", items[row].reason, 0), 0.0)
    read = [(row, structure) for row in rows if (structure := items[row].structure) is not None]
    if executor.in_process:
        yield from Worker(load(), settings)(takewhile(lambda _: not should_stop(), read))
        return
    with open_workers(partial(_worker, load, settings), executor) as workers:
        portions = _portions(read, settings.batch)
        for crystals, found in workers.run_divisible(portions, _each, should_stop):
            if isinstance(found, Lost):
                yield Finished(crystals[0][0], Relaxation("failed", found.reason, 0), 0.0)
            else:
                yield from found


def _portions(read: Sequence[tuple[int, StructureBatch]], atoms: int) -> list[Crystals]:
    """Crystals in portions of a batch, of fewer atoms where there are few: the workers are not counted here."""
    sizes = torch.tensor([len(structure.fractional) for _, structure in read], dtype=torch.int64)
    most = max(1, min(atoms, int(sizes.sum()) // _PORTIONS))
    return [
        [read[place] for place in part.tolist()]
        for part in cut_by_atoms(torch.arange(len(read)), sizes, most)
    ]


def _each(crystals: Crystals) -> list[Crystals]:
    return [[crystal] for crystal in crystals]


def _worker(load: Loader, settings: RelaxationSettings) -> Callable[[Crystals], list[Finished]]:
    worker = Worker(load(), settings)
    return lambda crystals: list(worker(crystals))
