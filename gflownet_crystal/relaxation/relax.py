"""Relaxation of crystals, many at a time: atoms and cells, with the symmetry of each kept on request."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from gflownet_crystal.models.energies.derivatives import said
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.batch import Active, RelaxationBatch
from gflownet_crystal.relaxation.preparing import Prepared
from gflownet_crystal.relaxation.results import Done, Key, Relaxation
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.structure import StructureBatch


def relax(structure: StructureBatch, energies: StructureEnergies, settings: RelaxationSettings) -> Relaxation:
    """Relax one crystal; whatever goes wrong with it is a failure with a reason.

    Args:
        structure: one structure, in any cell.
        energies: gives forces, stress and formation energies.
        settings: settings of the relaxation.
    """
    return next(relax_in_batches([(0, structure)], energies, settings)).result


def relax_in_batches(
    crystals: Iterable[tuple[Key, StructureBatch]],
    energies: StructureEnergies,
    settings: RelaxationSettings,
) -> Iterator[Done[Key]]:
    """Relax crystals, some at a time: one that is done makes room for the next.

    Args:
        crystals: names and single structures, in any cells; taken one by one as there is room.
        energies: gives forces, stress and formation energies.
        settings: settings of the relaxations; a crystal with more atoms than ``batch`` is relaxed alone.

    Yields:
        Each crystal when it is done.
    """
    waiting = iter(crystals)
    taken: tuple[Key, StructureBatch] | None = None
    batch: RelaxationBatch[Key] | None = None
    while True:
        entering: list[Active[Key]] = []
        filled = 0 if batch is None else batch.n_atoms
        while filled < settings.batch:
            taken = next(waiting, None) if taken is None else taken
            if taken is None or (filled and filled + len(taken[1].fractional) > settings.batch):
                break
            (key, structure), taken, start = taken, None, time.perf_counter()
            try:
                prepared = Prepared.of(structure, settings)
            except Exception as error:  # a search for symmetry raises all kinds of them
                yield Done(key, Relaxation("failed", said(error), 0), time.perf_counter() - start)
                continue
            entering.append(Active(key, prepared, seconds=time.perf_counter() - start))
            filled += prepared.n_atoms
        if entering:
            started = RelaxationBatch.of(entering)
            batch = started if batch is None or not batch.active else batch.joined(started)
        if batch is None or not batch.active:
            return
        done, batch = batch.advanced(energies, settings)
        yield from done
