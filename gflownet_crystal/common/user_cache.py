"""The user's cache folder, for results that can be computed again."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

NAME = "gflownet_crystal"


def user_cache(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """The folder, which need not exist yet: where the platform keeps caches.

    Args:
        environment: variables; those of the process if None.
        platform: value of ``sys.platform``.
    """
    variables = os.environ if environment is None else environment
    home = Path(variables.get("HOME") or variables.get("USERPROFILE") or Path.home())
    if platform == "win32":
        return Path(variables.get("LOCALAPPDATA") or home / "AppData" / "Local") / NAME / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / NAME
    # a relative path in it is invalid, says the specification
    given = Path(variables.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else home / ".cache") / NAME
