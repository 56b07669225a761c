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
            raise DataError(f"{size} bytes, and a configuration has at most {MAX_BYTES}")
        text = path.read_text(encoding="utf-8")
        _require_plain(text)
        config = OmegaConf.create(text)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        raise DataError(f"cannot read {path}: {_reason(error)}") from error
    return config  # type: ignore[return-value]  # a mapping, which was seen to above


def _reason(error: Exception) -> str:
    # the first line of YAML's errors says what was being read when it found the problem
    text = getattr(error, "problem", None) or str(error)
    return next(iter(str(text).splitlines()), type(error).__name__)


def _require_plain(text: str) -> None:
    """See that a text is a mapping of values.

    Raises:
        DataError: it is something else.
    """
    depth, root = 0, None
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        root = root or (event if isinstance(event, yaml.NodeEvent) else None)
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > MAX_DEPTH:
            raise DataError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            raise DataError("it has an alias (*name), which no stored configuration has")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise DataError(f"it refers to {event.value[:60]}, and a stored configuration holds values only")
    if not isinstance(root, yaml.MappingStartEvent):
        raise DataError("it is damaged, and no mapping of keys to values")
