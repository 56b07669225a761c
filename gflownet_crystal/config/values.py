"""Checks of values of a configuration, and of the paths that it names."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.values import (
    HIGHEST,
    HIGHEST_SEED,
    flag,
    names_setting,
    path_setting,
    seed_number,
    thread_count,
    whole_number,
)
from gflownet_crystal.structures.writing import formats_setting

__all__ = [
    "HIGHEST_SEED",
    "check_new",
    "check_new_folder",
    "check_whole",
    "check_writable",
    "flag",
    "formats_setting",
    "names_setting",
    "path_setting",
    "seed_number",
    "thread_count",
    "whole_number",
]


def check_whole(
    config: DictConfig, key: str, lowest: int, highest: int = HIGHEST, may_be_none: bool = False
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
