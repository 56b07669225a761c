"""Relax crystals, cell and atoms, with a potential: a table, a Parquet file and one CIF each.

Crystals come as CIF files (a folder of them, such as the candidates of a run), extended XYZ or a data file. One that
fails is reported with its reason and disturbs no other. A run that was stopped goes on with the same settings and
resume=true.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.build import to_settings
from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.interrupt import stop_on_signal
from gflownet_crystal.cli.output_folder import open_output
from gflownet_crystal.cli.parts import find_device, set_threads
from gflownet_crystal.cli.values import flag, whole_number
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.models.potentials import load_energies
from gflownet_crystal.models.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import fingerprint, read_items
from gflownet_crystal.relaxation.records import TABLE, RecordsFile, to_record, write_results
from gflownet_crystal.relaxation.run import relax_items
from gflownet_crystal.relaxation.settings import RelaxationSettings


def run(config: DictConfig) -> None:
    """The verb ``relax``."""
    config = resolved(config)
    names = [field.name for field in fields(RelaxationSettings)]
    settings = to_settings(RelaxationSettings, OmegaConf.masked_copy(config, names), "relax")
    processes = whole_number(config.processes, "processes", 1)
    quiet, resume = flag(config.quiet, "quiet"), flag(config.resume, "resume")
    set_threads(config.threads)
    load = functools.partial(load_on, config.model, config.version, str(find_device(config.device)))
    folder, source = Path(str(config.out)), Path(str(config.structures))
    items = read_items(source)
    # before anything is written: a model may be unknown, not installed, or without forces
    energies = load()
    energies.calculator()
    loader = load if processes > 1 else lambda: energies
    chosen = {"model": config.model, "version": config.version, **asdict(settings)}
    open_output(folder, {**chosen, "structures": fingerprint(items)}, resume)
    records = RecordsFile(folder)
    done = {record["row"] for record in records.records}
    rows = [row for row in range(len(items)) if row not in done]
    try:
        with (
            stop_on_signal() as should_stop,
            Progress(len(items), len(done), "relaxing", quiet) as progress,
        ):
            for finished in relax_items(items, rows, loader, settings, processes, should_stop):
                record = to_record(finished.row, items[finished.row], finished.result, finished.seconds)
                records.add(record)
                progress.advance(f"{record['name']} {record['status']} after {record['steps']} steps")
    finally:
        records.close()
        write_results(folder, records.records, str(config.model), settings.symprec)
    if len(records.records) < len(items):
        raise KeyboardInterrupt(
            f"{len(records.records)} of {len(items)} crystals are done; go on with the same command and resume=true"
        )
    print(report(records.records, folder))


def load_on(name: str, version: str | None, device: str) -> StructureEnergies:
    """The energy model of a name, on a device.

    Raises:
        ConfigError: an unknown name or version, or a package that is not installed.
    """
    return load_energies(name, **({} if version is None else {"version": version})).to(device)


def report(records: list[dict[str, Any]], folder: Path) -> str:
    """What became of all crystals, in a few words."""
    count = Counter(record["status"] for record in records)
    parts = [f"{count['converged']} of {len(records)} crystals relaxed in {folder}"]
    if count["not_converged"]:
        parts.append(f"{count['not_converged']} did not come to rest: give more steps=")
    if count["failed"]:
        reason = next(record["reason"] for record in records if record["status"] == "failed")
        parts.append(f"{count['failed']} failed, see {TABLE}; the first: {reason}")
    after = pd.Series([record.get("energy_after") for record in records], dtype=float)
    if after.notna().any():
        parts.append(f"median formation energy {after.median():.4f} eV/atom")
    return "; ".join(parts)
