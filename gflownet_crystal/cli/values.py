"""Checks of single values of a configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gflownet_crystal.common.errors import ConfigError, DataError


def whole_number(value: Any, key: str, lowest: int) -> int:
    """A whole number of at least ``lowest``.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ConfigError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    return value


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
