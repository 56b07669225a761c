"""Folders that a long verb fills and can resume: each holds its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.run_schema import SETTINGS


def holds_nothing(folder: Path) -> bool:
    """Whether a folder is missing, or empty apart from temporary files of a killed run."""
    return not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir())


def refuse_resume(folder: Path, key: str) -> None:
    """Report that the folder holds no earlier run.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        f"resume=true, but {key}={folder} holds nothing to go on with; leave resume out to start there, or give the "
        f"{key} of a run that was started"
    )


@contextmanager
def open_output(folder: Path, chosen: Mapping[str, object], resume: bool) -> Iterator[None]:
    """Make the folder or check that it can be resumed; no other process can fill it meanwhile.

    Where an error ends the work before anything is made, the folder is as it was.

    Args:
        folder: folder to fill.
        chosen: settings that determine the results, as JSON values; digests of inputs included.
        resume: whether to continue an earlier run in it.

    Raises:
        ConfigError: it holds something and ``resume`` is not set, nothing and it is, was made with other settings, or
            another process is filling it.
        DataError: it cannot be written.
    """
    if resume and holds_nothing(folder):
        refuse_resume(folder, "out")
    with lock_folder(folder):
        begins = holds_nothing(folder)
        _check_settings(folder, chosen, resume)
        try:
            yield
        except Exception:
            # a failure that made nothing takes no name from the next try
            if begins and all(
                path.name == SETTINGS or path.name.startswith(".") for path in folder.iterdir()
            ):
                (folder / SETTINGS).unlink(missing_ok=True)
            raise


def _check_settings(folder: Path, chosen: Mapping[str, object], resume: bool) -> None:
    path = folder / SETTINGS
    if holds_nothing(folder):
        write_json(path, dict(chosen))
        return
    if not resume:
        raise ConfigError(f"out={folder} is not empty; add resume=true to go on, or give another out=...")
    if not path.is_file():
        raise ConfigError(f"out={folder} was not made by this verb (no {SETTINGS}); give another out=...")
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise ConfigError(f"{path} is damaged; give another out=...")
    for key, value in chosen.items():
        if stored.get(key) != value:
            was = "" if isinstance(value, str) and len(value) == 64 else f" (it was {stored.get(key)})"
            raise ConfigError(
                f"{key} differs from the run being resumed{was}; leave it as it was, or give another out=..."
            )
