"""Checks of single values of a configuration."""

from __future__ import annotations

from typing import Any

from gflownet_crystal.common.errors import ConfigError


def whole_number(value: Any, key: str, lowest: int) -> int:
    """A whole number of at least ``lowest``.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ConfigError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    return value
