"""Errors of OmegaConf in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf.errors import OmegaConfBaseException

from gflownet_crystal.common.errors import ConfigError


@contextmanager
def telling_keys() -> Iterator[None]:
    """Tell in one line which key of a configuration is missing or has a value of another kind.

    Raises:
        ConfigError: in place of OmegaConf's own.
    """
    try:
        yield
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"configuration key {error.full_key or error.key}: {first_line(error)}; "
            "a config of your own, or that of a run folder, has to have the keys that --help lists"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
