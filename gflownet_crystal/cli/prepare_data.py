"""Convert crystals to conventional specs, once, to one table that the other verbs read at once.

With strain=chgnet it writes that potential's energies of strained copies of the crystals instead. With hull=FILE it
writes the stable compounds of the crystals, a reference hull for proxy=e_above_hull and export.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig
from tqdm import tqdm

from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.values import check_new, flag
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.data.compounds import read_compounds
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.strain_energies import strained_energies
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition


def run(config: DictConfig) -> None:
    """The verb ``prepare_data``."""
    config = resolved(config)
    paths = paths_of(config.source, "source")
    one_scheme, quiet = flag(config.one_scheme, "one_scheme"), flag(config.quiet, "quiet")
    overwrite = flag(config.overwrite, "overwrite")
    out, hull = _file(config.out, "out", overwrite), _file(config.hull, "hull", overwrite)
    if out is None and hull is None:
        raise ConfigError(
            "nothing to write: give out=FILE.parquet for the table, or hull=FILE.parquet for a hull"
        )
    done: dict[str, Any] = {}
    if out is not None:
        table = _strained(paths, config) if config.strain is not None else _prepared(paths, config)
        with atomic_path(out) as temporary:
            table.to_parquet(temporary, index=False)
        done |= {"out": str(out), "rows": len(table), "columns": list(table.columns)}
    if hull is not None:
        done |= _write_hull(paths, hull, one_scheme, quiet)
    print(json.dumps(done))


def _file(value: Any, key: str, overwrite: bool) -> Path | None:
    """A Parquet file that can be written, or None."""
    if value is None:
        return None
    path = Path(str(value))
    if path.suffix != ".parquet":
        raise ConfigError(f"{key} must end in .parquet, not {path.name!r}")
    check_new(path, key, overwrite)
    return path


def _write_hull(paths: list[Path], out: Path, one_scheme: bool, quiet: bool) -> dict[str, Any]:
    """Write the stable compounds of all ``paths``; what there is to say of them."""
    compounds = read_compounds(paths, one_scheme)
    energy = torch.tensor(compounds[ENERGY_COLUMN].to_numpy(dtype="float64"))
    known = ReferenceHull(text_to_composition(compounds["formula"].tolist()), energy)
    with tqdm(total=len(known), desc="hull", unit="compound", disable=quiet, file=sys.stderr) as bar:
        hull = known.stable(bar.update)
    if len(hull) == 0:
        raise DataError(
            f"no compound of {', '.join(map(str, paths))} has an energy below 0: there is no hull"
        )
    hull.write(out)
    return {"hull": str(out), "formulas": len(compounds), "stable": len(hull)}


def _prepared(paths: list[Path], config: DictConfig) -> pd.DataFrame:
    table = read_prepared(paths, config.quiet)
    return to_one_scheme(table) if config.one_scheme else table


def _strained(paths: list[Path], config: DictConfig) -> pd.DataFrame:
    def progress(rows: Iterable[int]) -> Iterable[int]:
        return tqdm(rows, desc=str(config.strain), unit="crystal", disable=config.quiet, file=sys.stderr)

    frame = pd.concat([read_source(path) for path in paths], ignore_index=True)
    return strained_energies(frame, str(config.strain), int(config.strains), int(config.seed), progress)
