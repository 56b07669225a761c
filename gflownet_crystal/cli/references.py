"""Compute the energies of the elements with any ASE calculator, once; formation energies are measured from them.

The calculator is given by its dotted path, model._target_=mace.calculators.mace_mp, and further keys are its arguments.
For each element the energies of all known crystals are computed, and the lowest crystal is relaxed. The table is kept
in the user's cache folder, where relax, evaluate, generate and pipeline find it for the same calculator and arguments.
A run that was stopped goes on with the same command.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gflownet_crystal.common.devices import set_threads
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.config.request import Request
from gflownet_crystal.models.energies.reference_tables import ReferenceTable
from gflownet_crystal.relaxation.elements import ElementSettings
from gflownet_crystal.workflows.relaxing.reference_energies import reference_energies
from gflownet_crystal.workflows.settings.data import ReferencesSettings

_MOST_TOLD = 5


def run(request: Request) -> None:
    """The verb ``references``."""
    settings = settings_of(request)
    set_threads(settings.threads)
    print(_report(*reference_energies(settings)))


def settings_of(request: Request) -> ReferencesSettings:
    """Settings of ``references``."""
    relaxation = request.settings_among(ElementSettings, "references")
    return request.settings(ReferencesSettings, relaxation=relaxation)


def _report(table: ReferenceTable, wanted: Sequence[str], path: Path) -> str:
    """One-line summary of the result."""
    refused = {symbol: table.refused[symbol] for symbol in wanted if symbol in table.refused}
    first = next(((symbol, reason) for symbol, reason in refused.items()), ("", ""))
    if not table.energy:
        raise DataError(
            f"the calculator gives none of {len(wanted)} elements an energy; {first[0]}: {first[1]}"
        )
    text = f"energies of {len(wanted) - len(refused)} of {len(wanted)} elements in {path}"
    if refused:
        more = ", ..." if len(refused) > _MOST_TOLD else ""
        text += f"; none of {', '.join(list(refused)[:_MOST_TOLD])}{more} ({first[0]}: {first[1]})"
    return text
