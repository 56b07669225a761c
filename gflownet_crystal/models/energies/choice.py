"""Which energy model a user names: NAME, NAME:VERSION, a weights file, a mean of these, or an ASE calculator."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import ConfigError

TARGET = "_target_"
WEIGHTS = ".safetensors"
MEAN = "+"
"""Stands between the models of a mean, as in ``alignn+gemsnet``."""

RECOMMENDED = ("sevenn:7net-l3i5", "chgnet:0.3.0", "alignn")
"""Models that relax crystals, the best first."""

OWN_SETTINGS = ("corrected", "references")
"""Settings of a calculator by dotted path that are meant for this package, not for the calculator."""


@dataclass(frozen=True)
class EnergyChoice:
    """An energy model by name.

    Attributes:
        name: name of a potential or of shipped weights, a ``.safetensors`` file, the dotted path of a calculator, or
            the models of a mean as they are written.
        version: version of a potential; None for its first.
        settings: settings of a calculator by dotted path; None for the others.
        members: models of a mean; none for the others.
    """

    name: str
    version: str | None = None
    settings: Mapping[str, object] | None = field(default=None, hash=False)
    members: tuple[EnergyChoice, ...] = ()

    @property
    def arguments(self) -> dict[str, object]:
        """Keyword arguments of a calculator by dotted path."""
        return {key: value for key, value in (self.settings or {}).items() if key not in OWN_SETTINGS}

    @property
    def label(self) -> str:
        """A short text in tables: ``sevenn:7net-l3i5``, the stem of a file, or a calculator's name with a digest."""
        if self.settings is not None:
            return f"{self.name.rpartition('.')[2]}-{self.digest[:8]}"
        if self.members:
            return MEAN.join(member.label for member in self.members)
        if self.name.endswith(WEIGHTS):
            return Path(self.name).stem
        return self.name if self.version is None else f"{self.name}:{self.version}"

    @property
    def file_name(self) -> str:
        """The label as the name of a file or folder on every platform."""
        return re.sub(r"[^\w.+-]", "-", self.label)

    @property
    def digest(self) -> str:
        """Hexadecimal digits that are the same for the same calculator with the same arguments."""
        text = json.dumps([self.name, self.arguments], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def described(self) -> str:
        """The whole choice in words, such as ``mace.calculators.mace_mp(model='small')``."""
        if self.settings is None:
            return self.name if self.version is None else f"{self.name}:{self.version}"
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"

    def words(self, key: str) -> str:
        """The choice as settings of a command line, such as ``model._target_=mace.calculators.mace_mp``.

        Args:
            key: key of the setting.
        """
        if self.settings is None:
            return setting_word(key, self.described)
        pairs = [(TARGET, self.name), *self.settings.items()]
        return " ".join(
            setting_word(f"{key}.{name}", value)
            if isinstance(value, str)
            else shlex.quote(f"{key}.{name}={json.dumps(value)}")
            for name, value in pairs
        )


def read_choice(given: str | Mapping[str, object] | EnergyChoice) -> EnergyChoice:
    """Energy model that a text or a section of a configuration names.

    Args:
        given: ``NAME``, ``NAME:VERSION``, a ``.safetensors`` file, several of these joined by ``+`` for their mean, or
            a mapping with ``_target_``, the dotted path of an ASE calculator or of a function that makes one, and its
            arguments; or a choice, which stays as it is.

    Raises:
        ConfigError: it is something else, or has no version after its colon.
    """
    if isinstance(given, EnergyChoice):
        return given
    if isinstance(given, Mapping):
        target = given.get(TARGET)
        if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
            raise ConfigError(
                f"a model with keys of its own needs {TARGET}=my_module.my_calculator, not {target!r}"
            )
        if "." not in target:
            raise ConfigError(f"{TARGET} must be a dotted path like my_module.my_calculator, not {target!r}")
        return EnergyChoice(target, None, {str(k): v for k, v in given.items() if k != TARGET})
    if not isinstance(given, str) or not given:
        raise ConfigError(
            f"energies must be NAME, NAME:VERSION, a {WEIGHTS} file or a calculator's {TARGET}, not {given!r}"
        )
    if (parts := _parts_of_mean(given)) is not None:
        if len(set(parts)) < len(parts):
            raise ConfigError(f"{given!r} names a model twice; give each model of a mean once")
        return EnergyChoice(given, members=tuple(map(read_choice, parts)))
    # the name of a file may hold a colon
    if Path(given).suffix == WEIGHTS:
        return EnergyChoice(given)
    name, colon, version = given.partition(":")
    if colon and not (name and version):
        raise ConfigError(f"{given!r} lacks a name or a version at its colon; write NAME:VERSION or NAME")
    return EnergyChoice(name, version or None)


def _parts_of_mean(given: str) -> list[str] | None:
    """Models joined by ``+``; None for a single one, also a file or folder with a plus in its name."""
    parts = given.split(MEAN)
    if len(parts) < 2 or Path(given).is_file():
        return None
    single = re.compile(rf"[\w-]*(:[\w.-]*)?|.*{re.escape(WEIGHTS)}")
    return parts if all(single.fullmatch(part) for part in parts) else None


def distinct_choices(choices: list[EnergyChoice], key: str) -> list[EnergyChoice]:
    """The choices as they are, each with a file name of its own.

    Raises:
        ConfigError: two of them have the same.
    """
    seen: dict[str, EnergyChoice] = {}
    for choice in choices:
        earlier = seen.setdefault(choice.file_name.lower(), choice)
        if earlier is not choice:
            raise ConfigError(
                f"{key}: {earlier.described} and {choice.described} would fill one folder; give each once, and weights "
                "files names of their own"
            )
    return choices


def recommended() -> str:
    """Name of the first model of :data:`RECOMMENDED` whose package is installed; the last needs no package."""
    installed = (name for name in RECOMMENDED[:-1] if find_spec(read_choice(name).name) is not None)
    return next(installed, RECOMMENDED[-1])
