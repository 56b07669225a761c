"""Relaxations kept one by one in a folder, and the models that relax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.records import Record, RecordsFile, to_record, write_results
from gflownet_crystal.relaxation.run import Loader, relax_items
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.writing import CIF


def relax_kept(
    folder: Path,
    items: Sequence[Item],
    rows: Sequence[int],
    load: Loader,
    settings: RelaxationSettings,
    model: str,
    processes: int = 1,
    quiet: bool = False,
    formats: Sequence[str] = (CIF,),
) -> list[Record]:
    """Relax items into a folder, each kept once it is done; those that the folder has already are not done again.

    Args:
        folder: folder for records, tables and structures.
        items: all that there are.
        rows: rows of the crystals to relax, best first.
        load: makes the model; see :func:`~gflownet_crystal.relaxation.run.relax_items`.
        settings: settings of the relaxations.
        model: name of the energies.
        processes: number of processes at once.
        quiet: show no progress.
        formats: file formats of the structures, CIF among them.

    Returns:
        The record of each row, in any order.

    Raises:
        KeyboardInterrupt: a signal asked for a stop before all were done.
    """
    records = RecordsFile(folder)
    done = {record.row for record in records.records}
    waiting = [row for row in rows if row not in done]
    try:
        with (
            stop_on_signal() as should_stop,
            Progress(len(rows), len(rows) - len(waiting), "relaxing", quiet) as progress,
        ):
            for finished in relax_items(items, waiting, load, settings, processes, should_stop):
                record = to_record(finished.row, items[finished.row], finished.result, finished.seconds)
                records.add(record)
                progress.advance(f"{record.name} {record.status} after {record.steps} steps")
    finally:
        records.close()
        write_results(folder, records.records, model, settings.symprec, formats)
    wanted = set(rows)
    ended = [record for record in records.records if record.row in wanted]
    if len(ended) < len(wanted):
        raise KeyboardInterrupt(
            f"{len(ended)} of {len(wanted)} crystals are done; go on with the same command and resume=true"
        )
    return ended


def load_on(given: str | Mapping[str, object], version: str | None, device: str) -> StructureEnergies:
    """The energy model of a name, or of a calculator's class and arguments, on a device.

    Raises:
        ConfigError: an unknown name or version, or a package that is not installed.
    """
    return load_energies(given, **({} if version is None else {"version": version})).to(device)
