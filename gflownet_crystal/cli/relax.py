"""Relax cell and atoms of crystals with a potential; write a table, a Parquet file and one CIF each.

Crystals come as CIF files (a folder of them, such as the candidates of a run), extended XYZ or a data file. One that
fails is reported with its reason, and the others are still relaxed. A run that was stopped goes on with the same
settings and resume=true.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import RELAXED_CSV
from gflownet_crystal.config.request import Request
from gflownet_crystal.models.energies.choice import RECOMMENDED, read_choice, recommended
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.relaxation.records import Record
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.workflows.relaxing.relaxing import relax_structures
from gflownet_crystal.workflows.settings.verbs import EnergyModel, RelaxSettings

AUTO = "auto"


def run(request: Request) -> None:
    """The verb ``relax``."""
    settings = settings_of(request)
    set_threads(settings.threads)
    model = chosen_model(settings.model, settings.version, "model", settings.quiet)
    items = read_items(settings.structures, settings.formula_check)
    records = relax_structures(settings, model, find_device(settings.device), items)
    print(report(records, settings.out, settings.relaxation.steps))


def settings_of(request: Request) -> RelaxSettings:
    """Settings of ``relax``."""
    relaxation = request.settings_among(RelaxationSettings, "relax")
    return request.settings(RelaxSettings, relaxation=relaxation)


def chosen_model(given: EnergyModel, version: str | None, key: str, quiet: bool) -> EnergyModel:
    """The energy model that a configuration names; ``auto`` is the best that is installed, and a line names it.

    Args:
        given: value of the key.
        version: version of a potential by a key of its own; None for none.
        key: name of the key.
        quiet: whether to print no line.

    Raises:
        ConfigError: a version is given without a name.
    """
    if given != AUTO:
        return given
    name = recommended()
    if version is not None:
        raise ConfigError(f"a version needs a model: give {key}={read_choice(name).name}:{version}, say")
    if not quiet:
        better = "" if name == RECOMMENDED[0] else f", as the package of {RECOMMENDED[0]} is not installed"
        print(f"{key}={name} relaxes{better}", file=sys.stderr)
    return name


def report(records: Sequence[Record], folder: Path, steps: int) -> str:
    """Short summary of the relaxations of all crystals that were given ``steps`` steps."""
    count = Counter(record.status for record in records)
    parts = [f"{count['converged']} of {len(records)} crystals relaxed in {folder}"]
    if count["not_converged"]:
        unmoved = f"{count['not_converged']} have larger forces than fmax, and steps=0 moves none"
        moved = f"{count['not_converged']} did not converge: increase steps="
        parts.append(moved if steps else unmoved)
    if count["failed"]:
        reason = next(record.reason for record in records if record.status == "failed")
        parts.append(f"{count['failed']} failed, see {RELAXED_CSV}; the first: {reason}")
    if denoised := sum(bool(record.denoised) for record in records):
        parts.append(f"{denoised} started from the denoiser's pass")
    after = pd.Series([record.energy_after for record in records], dtype=float)
    if after.notna().any():
        parts.append(f"median formation energy {after.median():.4f} eV/atom")
    return "; ".join(parts)
