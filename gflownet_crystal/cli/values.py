"""Checks of single values of a configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.annotations import LARGEST_WHOLE
from gflownet_crystal.common.errors import ConfigError, DataError


def whole_number(value: Any, key: str, lowest: int) -> int:
    """A whole number of at least ``lowest`` that 64 bits hold; 1e3 is one.

    Raises:
        ConfigError: it is something else.
    """
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < lowest:
        raise ConfigError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    if number > LARGEST_WHOLE:
        raise ConfigError(f"{key} must be a whole number from {lowest} to {LARGEST_WHOLE}, not {value!r}")
    return number


def check_whole(config: DictConfig, key: str, lowest: int) -> None:
    """Make a value of a configuration a whole number, where it is given.

    Args:
        config: changed in place where the value is a whole float.
        key: dotted.
        lowest: that it may be.

    Raises:
        ConfigError: it is something else.
    """
    value = OmegaConf.select(config, key)
    if value is not None:
        OmegaConf.update(config, key, whole_number(value, key, lowest))


def flag(value: Any, key: str) -> bool:
    """True or false.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, not {value!r}")
    return value


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
