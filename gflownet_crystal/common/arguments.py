"""Settings as the arguments of a class, checked before it is called."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import TypeVar

from gflownet_crystal.common.annotations import fitting
from gflownet_crystal.common.errors import ConfigError

T = TypeVar("T")


def prepared(
    found: type[T], settings: Mapping[str, object], key: str, given: Collection[str] = ()
) -> Callable[..., T]:
    """A class with checked settings filled in; see :func:`fitting_arguments`."""
    return partial(found, **fitting_arguments(found, settings, key, given))


def fitting_arguments(
    found: type, settings: Mapping[str, object], key: str, given: Collection[str] = ()
) -> dict[str, object]:
    """Settings as the arguments of a class have them, checked before it is called.

    Args:
        found: the class.
        settings: keyword arguments.
        key: section of the configuration.
        given: arguments that do not come from the configuration.

    Returns:
        The settings, whole floats as whole numbers where those are asked for.

    Raises:
        ConfigError: an argument that the class does not take, one that is missing, or one of a wrong type.
    """
    parameters = list(inspect.signature(found).parameters.values())
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    accepted = [name for name in named if name not in given]
    strange = [name for name in settings if name not in accepted]
    if strange and not free:
        raise ConfigError(
            f"{key}: {found.__name__} takes no {', '.join(strange)}; it takes {', '.join(accepted) or 'nothing'}"
        )
    lacking = [n for n in accepted if named[n].default is inspect.Parameter.empty and n not in settings]
    if lacking:
        raise ConfigError(
            f"{key}: {found.__name__} needs {', '.join(f'{key}.{name}=...' for name in lacking)}"
        )
    hints = argument_hints(found)
    return {name: fitting(value, hints.get(name), f"{key}.{name}") for name, value in settings.items()}


def settings_from(kind: type[T], values: Mapping[str, object], key: str = "model.settings") -> T:
    """A settings dataclass, nested ones included, from plain values.

    Args:
        kind: the dataclass.
        values: values by field; missing ones keep their defaults.
        key: section of the configuration, for messages.

    Raises:
        ConfigError: an unknown field, or a value of another type.
    """
    hints = typing.get_type_hints(kind)
    made = dict(values)
    for name, value in values.items():
        hint = hints.get(name)
        if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Mapping):
            made[name] = settings_from(hint, value, f"{key}.{name}")
    return kind(**fitting_arguments(kind, made, key))


def argument_hints(found: type) -> dict[str, object]:
    """Annotations of the arguments of a class and its bases; none where they cannot be read."""
    hints: dict[str, object] = {}
    for base in reversed(found.__mro__):
        try:
            hints |= typing.get_type_hints(base.__init__)  # type: ignore[misc]
        except (NameError, TypeError):
            # a user's class may have annotations that cannot be read; it then checks its arguments itself
            return {}
    return hints
