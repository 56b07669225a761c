"""YAML that others may have written: of limited size and depth, without aliases, read as data only."""

from __future__ import annotations

from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gflownet_crystal.common.errors import DataError

MAX_BYTES, MAX_DEPTH = 1_000_000, 50
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def read_yaml(path: Path) -> DictConfig:
    """The mapping in a file, in which every value stands as it is.

    Args:
        path: of the file.

    Raises:
        DataError: it cannot be read, is too large or nested too deeply, has aliases, which can stand for any amount of
            data, or ``${...}``, which could fetch the reader's environment.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"cannot read {path}: {size} bytes, and a configuration has at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8")
        if fault := _fault(text):
            raise DataError(f"cannot read {path}: {fault}")
        config = OmegaConf.create(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        raise DataError(
            f"cannot read {path}: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error
    if not isinstance(config, DictConfig):
        raise DataError(f"cannot read {path}: it is damaged, and no mapping of keys to values")
    return config


def _fault(text: str) -> str:
    """Why a text is not read; empty if it may be."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > MAX_DEPTH:
            return f"it is nested more than {MAX_DEPTH} deep"
        if isinstance(event, yaml.AliasEvent):
            return "it has an alias (*name), which no stored configuration has"
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            return f"it refers to another value ({event.value[:60]}), and a stored configuration holds values only"
    return ""
