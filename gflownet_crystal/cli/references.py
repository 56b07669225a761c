"""Compute the energies of the elements by any ASE calculator, once, so that it gives formation energies everywhere.

The calculator goes by its dotted path, model._target_=mace.calculators.mace_mp, and further keys are its arguments. Of
each element the known crystals get a single point and the lowest is relaxed. The table is kept in the user's cache
folder, where relax, evaluate, generate and pipeline find it for the same calculator and arguments. A run that was
stopped goes on with the same command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.errors import ConfigError, DataError, unknown
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.config.build import settings_among, verb_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.values import check_writable
from gflownet_crystal.models.energies.calculator_energies import make_calculator
from gflownet_crystal.models.energies.choice import EnergyChoice, read_choice
from gflownet_crystal.models.energies.reference_tables import ReferenceTable, table_path
from gflownet_crystal.relaxation.elements import ElementSettings, least_energy
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.structures.convert import to_ase
from gflownet_crystal.structures.elemental_crystals import elemental_crystals, elements_with_crystals
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.workflows.data_settings import ReferencesSettings
from gflownet_crystal.workflows.verb_settings import EnergyModel

if TYPE_CHECKING:
    from ase import Atoms

_MOST_TOLD = 5


def run(config: DictConfig) -> None:
    """The verb ``references``."""
    config = resolved(config)
    settings = settings_of(config)
    set_threads(settings.threads)
    choice = _calculator(settings.model)
    further = {} if settings.data is None else _further_crystals(settings.data, settings.formula_check)
    wanted = _elements(settings.elements, further)
    path = table_path(choice) if settings.out is None else settings.out
    calculator = make_calculator(choice, str(find_device(settings.device)))
    check_writable(path)
    table = _stored(path, choice, settings.overwrite)
    waiting = [symbol for symbol in wanted if symbol not in table.energy and symbol not in table.refused]
    with (
        stop_on_signal() as should_stop,
        Progress(len(wanted), len(wanted) - len(waiting), "elements", settings.quiet) as progress,
    ):
        for symbol in waiting:
            if should_stop():
                raise KeyboardInterrupt(f"{len(table.energy)} elements are kept; go on with the same command")
            crystals = [*elemental_crystals(symbol), *further.get(symbol, [])]
            found = least_energy(crystals, calculator, settings.relaxation)
            table = table.with_element(symbol, found.energy, found.crystal, found.reason)
            if table.energy:
                table.write(path)
            progress.advance(f"{symbol} {found.reason or f'{found.energy:.4f} eV/atom, {found.crystal}'}")
    print(_report(table, wanted, path))


def settings_of(config: DictConfig) -> ReferencesSettings:
    """Settings of ``references`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    relaxation = settings_among(ElementSettings, config, "references")
    return verb_settings(ReferencesSettings, config, relaxation=relaxation)


def _calculator(model: EnergyModel) -> EnergyChoice:
    """The calculator that was asked for.

    Raises:
        ConfigError: it is a model that comes with energies of the elements.
    """
    choice = read_choice(model)
    if choice.settings is None:
        raise ConfigError(
            "references are for calculators by dotted path, model._target_=my_module.my_calculator; "
            f"{choice.described} is none, and the package's own models need none"
        )
    return choice


def _elements(symbols: object, further: Mapping[str, Sequence[object]]) -> list[str]:
    """Symbols by atomic number; all with crystals if none are given.

    Raises:
        ConfigError: one is no element.
    """
    if symbols is None:
        known = {*elements_with_crystals(), *further}
        return [symbol for symbol in SYMBOLS[1:] if symbol in known]
    symbols = [symbols] if isinstance(symbols, str) else symbols
    if not isinstance(symbols, list) or not symbols:
        raise ConfigError(f"elements must be a list of symbols as [Li,O], not {symbols!r}")
    for symbol in symbols:
        if not isinstance(symbol, str) or symbol not in ATOMIC_NUMBERS:
            raise unknown("element", str(symbol), SYMBOLS[1:])
    return sorted(set(symbols), key=lambda symbol: ATOMIC_NUMBERS[symbol])


def _further_crystals(path: Path, formula_check: str) -> dict[str, list[tuple[str, Atoms]]]:
    """Crystals of one element in the user's data, by symbol.

    Raises:
        DataError: there are none.
    """
    found: dict[str, list[tuple[str, Atoms]]] = {}
    for item in read_items(path, formula_check):
        numbers = [] if item.structure is None else item.structure.atomic_numbers.unique().tolist()
        if item.structure is not None and len(numbers) == 1:
            crystal = (item.name, to_ase(item.structure)[0])
            found.setdefault(SYMBOLS[numbers[0]], []).append(crystal)
    if not found:
        raise DataError(
            f"{path} holds no crystal of a single element; leave data out, or give a file with some"
        )
    return found


def _stored(path: Path, choice: EnergyChoice, overwrite: bool) -> ReferenceTable:
    """The table that the file holds so far, or an empty one."""
    if overwrite or not path.exists():
        return ReferenceTable.of(choice)
    table = ReferenceTable.read(path)
    table.check(choice, path)
    return table


def _report(table: ReferenceTable, wanted: Sequence[str], path: Path) -> str:
    """One-line summary of the result.

    Raises:
        DataError: no element has an energy.
    """
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
