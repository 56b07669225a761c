"""Errors for missing packages that only evaluation needs."""

from __future__ import annotations

from gflownet_crystal.common.errors import ConfigError


def missing_extra(package: str) -> ConfigError:
    """The error for a package of the extra ``evaluate``."""
    return ConfigError(
        f"{package} is not installed; install it with pip install 'gflownet_crystal[evaluate]'"
    )
