"""Checks of single values that users give; one that is refused raises a ``ConfigError`` that names its key."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gflownet_crystal.common.annotations import shown
from gflownet_crystal.common.errors import ConfigError

T = TypeVar("T")

HIGHEST = 2**31 - 1

HIGHEST_SEED = 2**32 - 1
"""The largest seed that every generator of random numbers takes."""


def whole_number(value: object, key: str, lowest: int, highest: int = HIGHEST) -> int:
    """A whole number from ``lowest`` to ``highest``; 1e3 is one."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < lowest:
        raise ConfigError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    if number > highest:
        raise ConfigError(f"{key} must be a whole number of at most {highest}, not {shown(value)}")
    return number


def seed_number(value: object, key: str) -> int:
    """A seed that every generator of random numbers takes: a whole number from 0 to 2**32 - 1."""
    return whole_number(value, key, 0, HIGHEST_SEED)


def thread_count(value: object, key: str = "threads") -> int:
    """A number of threads or processes that an operating system can be asked for."""
    return whole_number(value, key, 1, max(64, 4 * (os.cpu_count() or 1)))


def flag(value: object, key: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, not {value!r}")
    return value


def names_setting(value: object, key: str) -> list[str]:
    """One name, or a list of them."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{key} must be a name or a list of names, not {value!r}")
    return list(names)


def path_setting(value: object, key: str) -> Path:
    """One path: a text, or a number that stands for its text.

    Raises:
        ConfigError: it is something else, or empty.
    """
    is_text = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    if not is_text or not str(value) or "\0" in str(value):
        raise ConfigError(f"{key} must be one path, as {key}=FOLDER/NAME, not {shown(value)}")
    return Path(str(value))


def paths_setting(value: object, key: str) -> tuple[Path, ...]:
    """Paths of a setting that is one path or a list of paths."""
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise ConfigError(f"{key} must be a path or a list of paths, not {value!r}")
    return tuple(path_setting(item, key) for item in values)


def share_below(limit: float) -> Callable[[object, str], float]:
    """The check for numbers from 0 to below ``limit``."""

    def check(value: object, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < limit:
            raise ConfigError(f"{key} must be a number from 0 to below {limit}, not {value!r}")
        return value

    return check


def text(value: object, key: str) -> str:
    """The text of a value."""
    return str(value)


def path_text(value: object, key: str) -> str:
    """The text of one path, as it was given; see :func:`path_setting`."""
    path_setting(value, key)
    return str(value)


def check_fields(settings: object, place: str = "", /, **checks: Callable[[object, str], object]) -> None:
    """Check fields of a frozen dataclass, for its ``__post_init__``.

    Args:
        settings: the object; each field becomes the result of its check.
        place: section that its fields are keys of, for the messages; none if empty.
        checks: checks by name of the field, which take the value and its key.
    """
    for name, check in checks.items():
        key = f"{place}.{name}" if place else name
        object.__setattr__(settings, name, check(getattr(settings, name), key))


def at_least(lowest: int) -> Callable[[object, str], int]:
    """The check for whole numbers from ``lowest``."""
    return lambda value, key: whole_number(value, key, lowest)


def optional(check: Callable[[object, str], T]) -> Callable[[object, str], T | None]:
    """A check that lets None pass."""
    return lambda value, key: None if value is None else check(value, key)


def one_of(choices: Sequence[str]) -> Callable[[object, str], str]:
    """The check for one of some words."""

    def check(value: object, key: str) -> str:
        if value not in choices:
            raise ConfigError(f"{key} is one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return check
