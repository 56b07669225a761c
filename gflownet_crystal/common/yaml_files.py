"""Safe reading of YAML from unknown sources: limited size and depth, no aliases, plain data only."""

from __future__ import annotations

import math
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gflownet_crystal.common.errors import DataError

MAX_BYTES, MAX_DEPTH, MAX_VALUES = 1_000_000, 50, 100_000
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def read_yaml(path: Path) -> DictConfig:
    """The mapping in a file, in which every value stands as it is.

    Args:
        path: path of the file.

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


def check_yaml(path: Path) -> None:
    """Check that a user's file is a mapping of limited depth and size, with its aliases expanded.

    Args:
        path: path of the file.

    Raises:
        DataError: the file is not such a mapping, or it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _require_shallow(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode | None):
            raise DataError("it is not a mapping of keys to values")
        if root is not None and _expanded(root, {}) > MAX_VALUES:
            raise DataError(f"its aliases stand for more than {MAX_VALUES} values")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"cannot read {path}: {_reason(error)}") from error


def _require_shallow(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > MAX_DEPTH:
            raise DataError(f"it is nested more than {MAX_DEPTH} deep")


def _expanded(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Number of values of a node, aliases replaced; infinite if it is within itself."""
    if id(node) not in sizes:
        # for a node that is met again before its size is known
        sizes[id(node)] = math.inf
        held = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [part for pair in held for part in pair] if isinstance(node, yaml.MappingNode) else held
        sizes[id(node)] = 1 + sum(_expanded(part, sizes) for part in inner)
    return sizes[id(node)]


def _reason(error: Exception) -> str:
    # the first line of YAML's errors names its state, not the problem
    text = getattr(error, "problem", None) or str(error)
    return next(iter(str(text).splitlines()), type(error).__name__)


def _require_plain(text: str) -> None:
    """See that a text is a mapping of values."""
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
