"""Convert crystals to conventional specs, once, to one table that the other verbs read at once.

With out=FILE.json, .extxyz, .db, .cif or .vasp, or a folder and format=, the crystals are written with their atoms, in
conventional cells. With strain=chgnet it writes that potential's energies of strained copies of the crystals instead.
With hull=FILE it writes the stable compounds of the crystals, a reference hull for proxy=e_above_hull and export. What
is no crystal is left out, counted in what is printed, and named in left_out.csv beside the output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig
from tqdm import tqdm

from gflownet_crystal.cli.data_tables import formula_check_of, paths_of, read_prepared
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.run_schema import FORMULA, LEFT_OUT
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.values import (
    check_new,
    check_new_folder,
    flag,
    formats_setting,
    path_setting,
    seed_number,
    whole_number,
)
from gflownet_crystal.data.compounds import read_compounds
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepared_structures import prepared_structures
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.strain_energies import strained_energies
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.writing import FORMATS, SUFFIXES, format_of, write_structures

_TABLE = ".parquet"


def run(config: DictConfig) -> None:
    """The verb ``prepare_data``."""
    config = resolved(config)
    paths = paths_of(config.source, "source")
    one_scheme, quiet = flag(config.one_scheme, "one_scheme"), flag(config.quiet, "quiet")
    overwrite = flag(config.overwrite, "overwrite")
    formats = formats_setting(config.format)
    out, hull = _output(config.out, formats), _file(config.hull, "hull")
    for path, key in ((out, "out"), (hull, "hull")):
        if path is not None:
            (check_new_folder if formats and key == "out" else check_new)(path, key, overwrite)
    if out is None and hull is None:
        raise ConfigError(
            "nothing to write: give out=FILE.parquet for the table, or hull=FILE.parquet for a hull"
        )
    if config.strain is not None and out is not None and out.suffix != _TABLE:
        raise ConfigError("strain makes a table of energies: let out end in .parquet, without format")
    formula_check = formula_check_of(config)
    left_out = LeftOut()
    done: dict[str, Any] = {}
    if out is not None and out.suffix == _TABLE:
        table = (
            _strained(paths, config, left_out)
            if config.strain is not None
            else _prepared(paths, config, left_out)
        )
        write_parquet(out, table)
        done |= {"out": str(out), "rows": len(table), "columns": list(table.columns)}
    elif out is not None:
        structures, values = prepared_structures(_prepared(paths, config, left_out, atoms=True), left_out)
        write_structures(out, structures, values, formats or None)
        done |= {"out": str(out), "structures": len(structures)}
    if hull is not None:
        compounds = read_compounds(paths, one_scheme, formula_check, left_out)
        done |= _write_hull(paths, compounds, hull, quiet)
    done["left_out"] = {"n": len(left_out), "reasons": left_out.counts()}
    folders = {out if formats and path == out else path.parent for path in (out, hull) if path is not None}
    for folder in folders:
        write_text(folder / LEFT_OUT, left_out.frame().to_csv(index=False))
    print(json.dumps(done))


def _file(value: Any, key: str) -> Path | None:
    """A Parquet file to write, or None."""
    if value is None:
        return None
    path = path_setting(value, key)
    if path.suffix != ".parquet":
        raise ConfigError(f"{key} must end in .parquet, not {path.name!r}")
    return path


def _output(value: Any, formats: Sequence[str]) -> Path | None:
    """The table, file of structures or folder to write, or None."""
    if value is None or (formats and (path := path_setting(value, "out")).suffix != _TABLE):
        return None if value is None else path
    path = path_setting(value, "out")
    if formats:
        raise ConfigError(
            f"format is of structures in a folder, and out={path} is a table; give one of the two"
        )
    if path.suffix != _TABLE and format_of(path) is None:
        raise ConfigError(
            f"out must end in .parquet, or for structures in {', '.join(SUFFIXES.values())}, or be a folder with "
            f"format=[{','.join(FORMATS)}], not {path.name!r}"
        )
    return path


def _write_hull(paths: list[Path], compounds: pd.DataFrame, out: Path, quiet: bool) -> dict[str, Any]:
    """Write the stable ones of the compounds of all ``paths``; what there is to say of them."""
    energy = torch.tensor(compounds[ENERGY_COLUMN].to_numpy(dtype="float64"))
    known = ReferenceHull(text_to_composition(compounds[FORMULA].tolist()), energy)
    with tqdm(total=len(known), desc="hull", unit="compound", disable=quiet, file=sys.stderr) as bar:
        hull = known.stable(bar.update)
    if len(hull) == 0:
        raise DataError(
            f"no compound of {', '.join(map(str, paths))} has an energy below 0: there is no hull"
        )
    hull.write(out)
    return {"hull": str(out), "formulas": len(compounds), "stable": len(hull)}


def _prepared(paths: list[Path], config: DictConfig, left_out: LeftOut, atoms: bool = False) -> pd.DataFrame:
    table = read_prepared(paths, config.quiet, formula_check_of(config), left_out, atoms=atoms)
    return to_one_scheme(table) if config.one_scheme else table


def _strained(paths: list[Path], config: DictConfig, left_out: LeftOut) -> pd.DataFrame:
    def progress(rows: Iterable[int]) -> Iterable[int]:
        return tqdm(rows, desc=str(config.strain), unit="crystal", disable=config.quiet, file=sys.stderr)

    check = formula_check_of(config)
    frame = pd.concat([read_source(path, check, left_out) for path in paths], ignore_index=True)
    strains, seed = whole_number(config.strains, "strains", 1), seed_number(config.seed, "seed")
    return strained_energies(frame, str(config.strain), strains, seed, progress)
