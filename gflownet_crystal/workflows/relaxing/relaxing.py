"""Relaxations kept one by one in a folder, and the models that relax."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import torch

from gflownet_crystal.common.executors import Executor
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.models.energies.choice import EnergyChoice, read_choice
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.denoising import load_denoiser
from gflownet_crystal.relaxation.inputs import Item, fingerprint
from gflownet_crystal.relaxation.records import Record, RecordsFile, to_record, write_results
from gflownet_crystal.relaxation.run import Loader, relax_items
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.writing import CIF
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.settings.verbs import EnergyModel, RelaxSettings


def relax_kept(
    folder: Path,
    items: Sequence[Item],
    rows: Sequence[int],
    load: Loader,
    settings: RelaxationSettings,
    model: str,
    executor: Executor | None = None,
    quiet: bool = False,
    formats: Sequence[str] = (CIF,),
    doing: str = "relaxing",
) -> list[Record]:
    """Relax items into a folder, each kept once it is done; those that the folder has already are not done again.

    Args:
        folder: folder for records, tables and structures.
        items: all that there are.
        rows: rows of the crystals to relax, best first.
        load: makes the model; see :func:`~gflownet_crystal.relaxation.run.relax_items`.
        settings: settings of the relaxations.
        model: name of the energies.
        executor: place of the work; None for this process.
        quiet: show no progress.
        formats: file formats of the structures, CIF among them.
        doing: word for the progress.

    Returns:
        The record of each row, in the order of the rows of all items.

    Raises:
        KeyboardInterrupt: a signal asked for a stop before all were done.
    """
    records = RecordsFile(folder)
    done = {record.row for record in records.records}
    waiting = [row for row in rows if row not in done]
    try:
        with (
            stop_on_signal() as should_stop,
            Progress(len(rows), len(rows) - len(waiting), doing, quiet) as progress,
        ):
            for finished in relax_items(items, waiting, load, settings, executor, should_stop):
                record = to_record(finished.row, items[finished.row], finished.result, finished.seconds)
                records.add(record)
                progress.advance(f"{record.name} {record.status} after {record.steps} steps")
    finally:
        records.close()
        write_results(folder, records.records, model, settings.symprec, formats)
    wanted = set(rows)
    ended = [record for record in sorted(records.records, key=_row) if record.row in wanted]
    if len(ended) < len(wanted):
        raise KeyboardInterrupt(
            f"{len(ended)} of {len(wanted)} crystals are done; go on with the same command and resume=true"
        )
    return ended


def _row(record: Record) -> int:
    return record.row


def relax_structures(
    settings: RelaxSettings, model: EnergyModel, device: torch.device, items: Sequence[Item]
) -> list[Record]:
    """Relax crystals as ``relax`` does.

    Args:
        settings: settings of the verb.
        model: energy model.
        device: device of the model.
        items: the crystals.

    Returns:
        A record of each.

    Raises:
        ConfigError: the model is unknown, not installed or has no forces, or the folder holds something else.
        KeyboardInterrupt: a signal asked for a stop before all were done.
    """
    relaxation, version = settings.relaxation, settings.version
    load = functools.partial(load_on, model, version, str(device))
    # before anything is written: weights may not exist, a model may be unknown, not installed, or without forces
    if relaxation.denoise is not None:
        load_denoiser(relaxation.denoise)
    loader = checked_loader(load, settings.executor)
    name = read_choice(model).described
    full = name if version is None or ":" in name else f"{name}:{version}"
    chosen = {"model": name, "version": version, **relaxation.deciding(), "structures": fingerprint(items)}
    executor, quiet = settings.executor, settings.quiet
    with open_output(settings.out, chosen, settings.resume):
        rows = range(len(items))
        return relax_kept(
            settings.out, items, rows, loader, relaxation, full, executor, quiet, settings.format
        )


def checked_loader(load: Loader, executor: Executor) -> Loader:
    """A loader of a model that was loaded once, as it may be unknown, not installed, or without forces.

    Args:
        load: makes the model; has to be picklable where that is done in another process.
        executor: place of the work.
    """
    energies = load()
    energies.calculator()
    return (lambda: energies) if executor.in_process else load


def load_on(given: EnergyModel | EnergyChoice, version: str | None, device: str) -> StructureEnergies:
    """The energy model of a name, or of a calculator's class and arguments, on a device.

    Raises:
        ConfigError: an unknown name or version, or a package that is not installed.
    """
    return load_energies(given, **({} if version is None else {"version": version})).to(device)
