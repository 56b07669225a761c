"""The configuration files: the package's folder, the user's own, and the choices in each group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gflownet_crystal.common.errors import ConfigError

PACKAGE_CONFIG = Path(__file__).resolve().parent


def config_folders(own: Sequence[Path]) -> list[Path]:
    """The user's folders, then the package's: where a config is looked for, in order.

    Raises:
        ConfigError: a folder does not exist.
    """
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(
                f"--config-dir {folder} is not a folder; give one that holds e.g. proxy/mine.yaml"
            )
    return [*(folder.resolve() for folder in own), PACKAGE_CONFIG]


def group_choices(group: str, folders: Sequence[Path]) -> list[str]:
    """Names of the configs in a group, sorted."""
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def find_config(group: str, choice: str, folders: Sequence[Path]) -> Path | None:
    """The file of a choice, the user's before the package's."""
    candidates = [folder / group / f"{choice}.yaml" for folder in folders]
    return next((path for path in candidates if path.is_file()), None)
