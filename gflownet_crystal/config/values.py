"""Checks of single values of a configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gflownet_crystal.common.annotations import shown
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.structures.writing import check_formats

_HIGHEST = 2**31 - 1

HIGHEST_SEED = 2**32 - 1
"""The largest seed that every generator of random numbers takes."""


def whole_number(value: Any, key: str, lowest: int, highest: int = _HIGHEST) -> int:
    """A whole number from ``lowest`` to ``highest``; 1e3 is one.

    Raises:
        ConfigError: it is something else.
    """
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < lowest:
        raise ConfigError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    if number > highest:
        raise ConfigError(f"{key} must be a whole number of at most {highest}, not {shown(value)}")
    return number


def check_whole(
    config: DictConfig, key: str, lowest: int, highest: int = _HIGHEST, may_be_none: bool = False
) -> None:
    """Make a value of a configuration a whole number.

    Args:
        config: changed in place where the value is a whole float.
        key: dotted.
        lowest: that it may be.
        highest: that it may be.
        may_be_none: whether null is allowed and left as it is.

    Raises:
        ConfigError: it is something else.
    """
    value = OmegaConf.select(config, key)
    if value is not None or not may_be_none:
        OmegaConf.update(config, key, whole_number(value, key, lowest, highest))


def seed_number(value: Any, key: str) -> int:
    """A seed that every generator of random numbers takes: a whole number from 0 to 2**32 - 1.

    Raises:
        ConfigError: it is something else.
    """
    return whole_number(value, key, 0, HIGHEST_SEED)


def thread_count(value: Any, key: str = "threads") -> int:
    """A number of threads or processes that an operating system can be asked for.

    Raises:
        ConfigError: it is something else.
    """
    return whole_number(value, key, 1, max(64, 4 * (os.cpu_count() or 1)))


def flag(value: Any, key: str) -> bool:
    """True or false.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, not {value!r}")
    return value


def names_setting(value: Any, key: str) -> list[str]:
    """One name, or a list of them.

    Raises:
        ConfigError: it is something else.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, ListConfig | list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{key} must be a name or a list of names, not {value!r}")
    return list(names)


def formats_setting(value: Any, key: str = "format", always: Sequence[str] = ()) -> tuple[str, ...]:
    """Formats of structures; null stands for none.

    Args:
        value: one name or several.
        key: place in the configuration, for the message.
        always: formats that are there whatever is asked for.

    Raises:
        ConfigError: a name is unknown.
    """
    return check_formats([*always, *([] if value is None else names_setting(value, key))])


def path_setting(value: Any, key: str) -> Path:
    """One path: a text, or a number that stands for its text.

    Raises:
        ConfigError: it is something else, or empty.
    """
    is_text = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    if not is_text or not str(value) or "\0" in str(value):
        raise ConfigError(f"{key} must be one path, as {key}=FOLDER/NAME, not {shown(value)}")
    return Path(str(value))


def check_new(path: Path, key: str, overwrite: bool) -> None:
    """See before any work that a file can be written and that no other one is lost by it.

    Args:
        path: path of the file; its folder is made if missing.
        key: key of the setting that names it.
        overwrite: an earlier file may be replaced.

    Raises:
        ConfigError: it exists, and ``overwrite`` is not set.
        DataError: it cannot be written.
    """
    check_writable(path)
    if path.exists() and not overwrite:
        raise ConfigError(f"{key}={path} exists; add overwrite=true to replace it, or give another {key}=...")


def check_new_folder(path: Path, key: str, overwrite: bool) -> None:
    """See before any work that a folder can be filled and that no file in it is lost by it.

    Args:
        path: path of the folder; its parent is made if missing.
        key: key of the setting that names it.
        overwrite: files in it may be replaced.

    Raises:
        ConfigError: it is a file, or holds some, and ``overwrite`` is not set.
        DataError: it cannot be written.
    """
    if not path.is_dir():
        check_writable(path)
        if path.exists():
            raise ConfigError(f"{key}={path} is a file; give a folder")
    elif not overwrite and any(not entry.name.startswith(".") for entry in path.iterdir()):
        raise ConfigError(
            f"{key}={path} is not empty; add overwrite=true to replace its files, or give another {key}=..."
        )


def check_writable(path: Path) -> None:
    """See before any work that a file can be written; its folder is made if missing.

    Raises:
        DataError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; give another path") from error
    if not os.access(path.parent, os.W_OK | os.X_OK) or path.is_dir():
        raise DataError(f"cannot write {path}: permission denied, or it is a folder; give another path")
