"""Relaxations of a set of crystals: the work of ``Crystals.relax``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pandas as pd

from gflownet_crystal.api.judging import energies_of
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import ENERGY_AFTER, ENERGY_BEFORE, REASON, SPACE_GROUP, STATUS
from gflownet_crystal.common.values import thread_count
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.denoising import load_denoiser
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.records import Record, structure_of, to_record
from gflownet_crystal.relaxation.run import Loader, relax_items
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.relaxing.relaxing import load_on

_COLUMNS = (
    STATUS, REASON, "steps", ENERGY_BEFORE, ENERGY_AFTER, "max_force_after", "volume_change",
    "rms_displacement", "max_displacement",
)  # fmt: skip

Records = Mapping[int, Record]
"""Records of relaxations, by row."""


@dataclass(frozen=True)
class Relaxer:
    """Relaxes crystals.

    Attributes:
        load: makes the model.
        settings: settings of the relaxations.
        processes: number of batches at once.
    """

    load: Loader
    settings: RelaxationSettings
    processes: int

    @classmethod
    def of(
        cls,
        energy_model: str | Mapping[str, object] | StructureEnergies,
        settings: RelaxationSettings,
        processes: int,
        device: str,
    ) -> Self:
        """From a model's name, or the model.

        Raises:
            ConfigError: an unknown model, one without forces, or an object that several processes cannot share.
            WeightsError: no such weights of a denoiser.
        """
        processes = thread_count(processes, "processes")
        if settings.denoise is not None:
            load_denoiser(settings.denoise)
        found = find_device(device)
        if isinstance(energy_model, StructureEnergies):
            if processes > 1:
                raise ConfigError(
                    "an energy model that is an object relaxes in one process; give processes=1"
                )
            energies = energies_of(energy_model, found)
        else:
            load = functools.partial(load_on, energy_model, None, str(found))
            # it may be unknown, not installed, or without forces
            energies = load()
        energies.calculator()
        return cls(load if processes > 1 else lambda: energies, settings, processes)

    def relax(self, names: Sequence[str], structures: StructureBatch, quiet: bool) -> Records:
        """Relax all structures, or those that are finished when an interrupt comes.

        Args:
            names: n names.
            structures: n structures.
            quiet: whether to show no progress.
        """
        items = [Item(name, structures[row : row + 1]) for row, name in enumerate(names)]
        records: dict[int, Record] = {}
        with (
            stop_on_signal() as should_stop,
            Progress(len(items), 0, "relaxing", quiet or not items) as progress,
        ):
            rows = range(len(items))
            for row, result, seconds in relax_items(
                items, rows, self.load, self.settings, self.processes, should_stop
            ):
                record = to_record(row, items[row], result, seconds)
                records[row] = record
                progress.advance(f"{record.name} {record.status} after {record.steps} steps")
        return records

    def relaxed(self, structures: StructureBatch, records: Records) -> StructureBatch:
        """The structures after the relaxations; those that failed as they were."""
        if not len(structures):
            return structures
        parts = [
            structure_of(records[row])
            if row in records and records[row].is_relaxed
            else structures[row : row + 1]
            for row in range(len(structures))
        ]
        return StructureBatch.cat(parts)

    def columns(self, frame: pd.DataFrame, records: Records) -> pd.DataFrame:
        """The table of the crystals with the results of their relaxations."""
        rows = range(len(frame))
        values = {name: [getattr(records.get(row), name, None) for row in rows] for name in _COLUMNS}
        found = [getattr(records.get(row), "space_group_after", None) for row in rows]
        groups = [
            own if group is None else group for own, group in zip(frame[SPACE_GROUP], found, strict=True)
        ]
        texts = (STATUS, REASON)
        columns = {
            name: pd.Series(column, dtype=object if name in texts else float)
            for name, column in values.items()
        }
        return frame.assign(
            space_group=pd.Series(groups, dtype="int64"), **columns, **{ENERGY_COLUMN: columns[ENERGY_AFTER]}
        )

    def check_finished(self, n: int, records: Records) -> None:
        """See that no interrupt has ended the work.

        Raises:
            KeyboardInterrupt: one has.
        """
        if len(records) < n:
            raise KeyboardInterrupt(
                f"{len(records)} of {n} crystals are relaxed, the others are as they were"
            )
