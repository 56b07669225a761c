"""Conversion of settings given in Python to words of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from gflownet_crystal.common.errors import ConfigError

# texts that the grammar of settings reads as they stand
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_VALUES = frozenset({"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"})
_KEY = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


def setting_texts(settings: Mapping[str, object]) -> list[str]:
    """Settings as ``key=value`` texts.

    Args:
        settings: values by dotted key, as ``{"trainer.learning_rate": 1e-4, "env.elements": ["Li", "O"]}``.

    Raises:
        ConfigError: a key is no dotted name, or a value is of a kind that has no text.
    """
    for key in settings:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ConfigError(f"settings are given by dotted keys, as 'trainer.learning_rate', not {key!r}")
    return [f"{key}={value_text(value, key)}" for key, value in settings.items()]


def value_text(value: object, key: str) -> str:
    """A value as the grammar of settings has it.

    Raises:
        ConfigError: it is no number, text, list or mapping of these.
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, np.ndarray | np.generic):
        # as Python's own numbers and lists
        return value_text(value.tolist(), key)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _text(str(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{value_text(one, key)}" for name, one in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(value_text(one, key) for one in value) + "]"
    raise ConfigError(f"{key} must be a number, a text, a list or a mapping, not {type(value).__name__}")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _VALUES:
        return text
    # a backslash before a quote belongs to the grammar's escapes
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"
