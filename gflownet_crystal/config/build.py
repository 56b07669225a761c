"""Classes named in a configuration: found, checked against their contract, and only then called."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from gflownet_crystal.common.arguments import argument_hints, prepared, settings_from
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import TARGET, require_section
from gflownet_crystal.config.moved import present_argument, present_path

PACKAGE = "gflownet_crystal"
T = TypeVar("T")


@dataclass(frozen=True)
class Trust:
    """Which classes from outside this package may be imported.

    Attributes:
        everything: all of them, as for names that the user typed or said ``trust=true`` to.
        targets: these.
    """

    everything: bool = False
    targets: frozenset[str] = frozenset()

    def allows(self, target: str) -> bool:
        """Whether the class may be imported."""
        return self.everything or target.startswith(f"{PACKAGE}.") or target in self.targets


COMMAND_LINE = Trust(everything=True)


def trust_word(config: object) -> str:
    """The further setting that a command on a run folder of this configuration needs: `` trust=true``, or nothing.

    Args:
        config: resolved; looked through for names of classes from outside this package.
    """
    inner = list(config.values()) if isinstance(config, Mapping) else []
    foreign = isinstance(config, Mapping) and TARGET in config and not Trust().allows(str(config[TARGET]))
    return " trust=true" if foreign or any(map(trust_word, inner)) else ""


def load_class(target: object, contract: type[T], key: str, trust: Trust = COMMAND_LINE) -> type[T]:
    """Import the class that a configuration names.

    Args:
        target: dotted path.
        contract: base class it must have.
        key: place in the configuration, for the message.
        trust: classes that may be imported.

    Raises:
        ConfigError: it is foreign and not trusted, does not exist, or is no subclass of ``contract``.
    """
    module_name, _, name = present_path(str(target)).rpartition(".")
    if not module_name:
        raise ConfigError(f"{key}.{TARGET} must be a dotted path like my_module.MyClass, not {target!r}")
    if not trust.allows(str(target)):
        raise ConfigError(
            f"the run folder names {target} at {key}, which is not a class of {PACKAGE}; "
            "if you know where the folder comes from, add trust=true"
        )
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{key}.{TARGET}={target}: {error}; check the path and the folder you start from"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, contract)):
        what = (
            "does not exist"
            if found is None
            else f"is not a subclass of {contract.__module__}.{contract.__name__}"
        )
        raise ConfigError(f"{key}.{TARGET}={target} {what}")
    return found


def factory(
    config: DictConfig, contract: type[T], key: str, trust: Trust = COMMAND_LINE, given: Collection[str] = ()
) -> Callable[..., T]:
    """The class of a section with its settings filled in, ready to be called.

    Args:
        config: the section: ``_target_`` and keyword arguments.
        contract: base class.
        key: name of the section.
        trust: classes that may be imported.
        given: arguments the caller adds.

    Raises:
        ConfigError: see :func:`load_class`; or an argument that the class does not take, or lacks, or of a wrong type.
    """
    require_section(config, key)
    if TARGET not in config:
        raise ConfigError(f"{key} names no class; set {key}.{TARGET}=my_module.MyClass")
    found = load_class(config[TARGET], contract, key, trust)
    hints = argument_hints(found)
    names = {word: present_argument(str(config[TARGET]), word) for word in map(str, config) if word != TARGET}
    settings = {
        name: _plain(config[word], f"{key}.{name}", trust, hints.get(name)) for word, name in names.items()
    }
    return prepared(found, settings, key, given)


def build(config: DictConfig, contract: type[T], key: str, trust: Trust = COMMAND_LINE) -> T:
    """An object from a section; see :func:`factory`."""
    return factory(config, contract, key, trust)()


def to_settings(settings: type[T], config: object, key: str) -> T:
    """A dataclass from a section, with unknown keys and wrong types refused.

    Raises:
        ConfigError: naming the key and the allowed values.
    """
    return settings_from(settings, plain_section(config, key), key)


def verb_settings(settings: type[T], config: DictConfig, **given: object) -> T:
    """Settings of a verb from its configuration.

    Args:
        settings: dataclass of the verb, which checks itself.
        config: resolved configuration; keys that are no fields are left out, and a section becomes the dataclass of its
            field.
        given: fields made in another way, and those that are no keys.
    """
    names = (field.name for field in fields(settings) if field.name not in given)  # type: ignore[arg-type]
    hints = typing.get_type_hints(settings)
    values: dict[str, object] = {}
    for name in names:
        hint, value = hints[name], config[name]
        is_section = isinstance(hint, type) and is_dataclass(hint)
        values[name] = to_settings(hint, value, name) if is_section else plain(value)
    return settings(**values, **given)


def settings_among(settings: type[T], config: DictConfig, key: str) -> T:
    """A dataclass whose fields are some of the keys of a verb.

    Raises:
        ConfigError: a value is wrong; its key is named under ``key``.
    """
    names = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    return to_settings(settings, OmegaConf.masked_copy(config, names), key)


def plain_section(found: object, place: str) -> dict[str, object]:
    """A section of a configuration as a mapping."""
    require_section(found, place)
    return {str(key): value for key, value in cast(Mapping[object, object], plain(found)).items()}


def plain(value: object) -> object:
    """A value of a configuration with lists and mappings as Python's own, references resolved."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _plain(value: object, key: str, trust: Trust, hint: object = None) -> object:
    """Lists and dictionaries as Python's own; sections with a class become its object, which has to be of the hint."""
    if isinstance(value, DictConfig) and TARGET in value:
        contract = hint if inspect.isclass(hint) and hint is not Any else object
        return build(value, contract, key, trust)
    if isinstance(value, DictConfig):
        return {name: _plain(item, f"{key}.{name!s}", trust) for name, item in value.items()}
    if isinstance(value, ListConfig):
        return [_plain(item, f"{key}.{index}", trust) for index, item in enumerate(value)]
    return value
