"""Energies of the elements by calculators of other packages, each kept in a JSON file of the user's cache folder."""

from __future__ import annotations

import functools
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.user_cache import user_cache
from gflownet_crystal.models.energies.choice import TARGET, EnergyChoice
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS


@dataclass(frozen=True)
class ReferenceTable:
    """Energies of the elements by one calculator.

    Attributes:
        calculator: its dotted path and arguments; empty in a table that a user wrote.
        package: name and version of the package that it belongs to; "" if it belongs to none that is installed.
        energy: eV/atom by symbol.
        crystal: crystal that an energy belongs to, by symbol.
        refused: reason why there is no energy, by symbol.
    """

    calculator: Mapping[str, object]
    package: str = ""
    energy: Mapping[str, float] = field(default_factory=dict)
    crystal: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, choice: EnergyChoice) -> Self:
        """Empty table for a calculator."""
        return cls({TARGET: choice.name, **choice.arguments}, package_of(choice.name))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The table of a file.

        Raises:
            DataError: the file is missing or damaged, or holds an unknown element or an energy that is no number.
        """
        stored = read_json(path)
        energy = stored.get("energy") if isinstance(stored, dict) else None
        if not isinstance(energy, dict):
            raise DataError(f"{path} holds no energies of elements; make it with the verb references")
        for symbol, value in energy.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if symbol not in ATOMIC_NUMBERS or not number:
                raise DataError(f"{path}: {symbol} has the energy {value!r}; give elements and eV/atom")
        others = {name: stored.get(name, {}) for name in ("calculator", "crystal", "refused")}
        if not all(isinstance(value, dict) for value in others.values()):
            raise DataError(f"{path} is damaged; make it again with the verb references overwrite=true")
        return cls(package=str(stored.get("package", "")), energy=energy, **others)

    def with_element(self, symbol: str, energy: float, crystal: str, reason: str) -> Self:
        """The table with one element more.

        Args:
            symbol: symbol of the element.
            energy: eV/atom; anything where there is a reason.
            crystal: the one it belongs to.
            reason: why there is no energy; empty if there is one.
        """
        if reason:
            return replace(self, refused={**self.refused, symbol: reason})
        return replace(
            self, energy={**self.energy, symbol: energy}, crystal={**self.crystal, symbol: crystal}
        )

    def write(self, path: Path) -> None:
        """Write the table.

        Raises:
            DataError: the file cannot be written.
        """
        write_json(path, asdict(self))

    def check(self, choice: EnergyChoice, path: Path) -> None:
        """Check that the table was made with the installed calculator; tables without this information pass.

        Raises:
            ConfigError: it is of another calculator, other arguments, or another version of the package.
        """
        now = type(self).of(choice)
        if self.calculator and (dict(self.calculator), self.package) != (now.calculator, now.package):
            was = f"{dict(self.calculator)} of {self.package or 'no package'}"
            raise ConfigError(
                f"{path} holds energies of the elements by {was}, not by {dict(now.calculator)} of "
                f"{now.package or 'no package'}; compute them: {references_command(choice)} overwrite=true"
            )


def table_path(choice: EnergyChoice) -> Path:
    """The file of a calculator's table: the one that its own setting ``references`` names, or one of the user's cache.

    Raises:
        ConfigError: the setting is no path.
    """
    given = (choice.settings or {}).get("references")
    if given is None:
        return user_cache() / "references" / f"{choice.file_name}.json"
    if not isinstance(given, str) or not given:
        raise ConfigError(f"references of {choice.name} must be one JSON file, not {given!r}")
    return Path(given)


def table_of(choice: EnergyChoice) -> ReferenceTable:
    """The stored energies of the elements by a calculator.

    Raises:
        ConfigError: there are none yet, and the command that computes them is told; or those of the file are of another
            calculator.
        DataError: the file is damaged.
    """
    path = table_path(choice)
    if not path.is_file():
        raise ConfigError(
            f"no energies of the elements by {choice.described} at {path}; compute them once: "
            f"{references_command(choice)}"
        )
    table = ReferenceTable.read(path)
    table.check(choice, path)
    return table


def references_command(choice: EnergyChoice) -> str:
    """The command that computes the energies of the elements by a calculator."""
    plain = EnergyChoice(choice.name, None, choice.arguments)
    given = (choice.settings or {}).get("references")
    out = "" if given is None else f" {setting_word('out', given)}"
    return f"gflownet-crystal references {plain.words('model')}{out}"


@functools.cache
def package_of(target: str) -> str:
    """Name and version of the installed package that a dotted path leads into, such as ``ase 3.26.0``; or ""."""
    owners = importlib.metadata.packages_distributions().get(target.partition(".")[0], [])
    return f"{owners[0]} {importlib.metadata.version(owners[0])}" if owners else ""
