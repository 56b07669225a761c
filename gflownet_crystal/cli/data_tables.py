"""Data files of the verbs on data: read, converted with a progress bar, and checked for labels."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import ListConfig
from tqdm import tqdm

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.data.prepare import load_prepared


def paths_of(value: Any, key: str) -> list[Path]:
    """One path or a list of them.

    Raises:
        ConfigError: it is neither.
    """
    values = list(value) if isinstance(value, (list, ListConfig)) else [value]
    if not values or not all(isinstance(item, str) and item for item in values):
        raise ConfigError(f"{key} must be a path or a list of paths, not {value!r}")
    return [Path(item) for item in values]


def read_prepared(paths: Iterable[Path], quiet: bool, *, atoms: bool = False) -> pd.DataFrame:
    """A prepared table of all ``paths``; with the stored cells and their atoms, where it has some, if ``atoms``."""

    def progress(rows: Iterable[int]) -> Iterable[int]:
        return tqdm(rows, desc="converting", unit="crystal", disable=quiet, file=sys.stderr)

    return load_prepared(paths, progress, atoms=atoms)
