"""Energies of the elements by an ASE calculator, an element at a time: the references of formation energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError, DataError, unknown
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.outputs import check_writable
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.models.energies.calculator_energies import make_calculator
from gflownet_crystal.models.energies.choice import EnergyChoice, read_choice
from gflownet_crystal.models.energies.reference_tables import ReferenceTable, table_path
from gflownet_crystal.relaxation.elements import least_energy
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.structures.convert import to_ase
from gflownet_crystal.structures.elemental_crystals import elemental_crystals, elements_with_crystals
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.workflows.settings.data import ReferencesSettings
from gflownet_crystal.workflows.settings.verbs import EnergyModel

if TYPE_CHECKING:
    from ase import Atoms


def reference_energies(settings: ReferencesSettings) -> tuple[ReferenceTable, list[str], Path]:
    """Compute energies of elements and keep each in a table once it is done.

    Args:
        settings: settings of ``references``.

    Returns:
        The table, symbols of the elements that were asked for, and the file that holds the table.

    Raises:
        ConfigError: the calculator comes with energies of the elements, or an element is unknown.
        DataError: the data hold no crystal of a single element, or the table cannot be written.
        KeyboardInterrupt: interrupted; the elements that are done are kept.
    """
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
    return table, wanted, path


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
        ConfigError: a symbol is no element.
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
