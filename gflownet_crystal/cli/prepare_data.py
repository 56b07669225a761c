"""Convert crystals to conventional specs, once, to one table that the other verbs read at once.

With strain=chgnet it writes that potential's energies of strained copies of the crystals instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig
from tqdm import tqdm

from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.values import check_writable
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.data.strain_energies import strained_energies


def run(config: DictConfig) -> None:
    """The verb ``prepare_data``."""
    config = resolved(config)
    paths, out = paths_of(config.source, "source"), Path(str(config.out))
    if out.suffix != ".parquet":
        raise ConfigError(f"out must end in .parquet, not {out.name!r}")
    check_writable(out)
    table = _strained(paths, config) if config.strain is not None else _prepared(paths, config)
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, index=False)
    print(json.dumps({"out": str(out), "rows": len(table), "columns": list(table.columns)}))


def _prepared(paths: list[Path], config: DictConfig) -> pd.DataFrame:
    table = read_prepared(paths, config.quiet)
    return to_one_scheme(table) if config.one_scheme else table


def _strained(paths: list[Path], config: DictConfig) -> pd.DataFrame:
    def progress(rows: Iterable[int]) -> Iterable[int]:
        return tqdm(rows, desc=str(config.strain), unit="crystal", disable=config.quiet, file=sys.stderr)

    frame = pd.concat([read_source(path) for path in paths], ignore_index=True)
    return strained_energies(frame, str(config.strain), int(config.strains), int(config.seed), progress)
