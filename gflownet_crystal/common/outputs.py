"""Checks of files and folders that are to be written, before any work."""

from __future__ import annotations

import os
from pathlib import Path

from gflownet_crystal.common.errors import ConfigError, DataError


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
