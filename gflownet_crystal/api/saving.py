"""Files of crystals: Parquet, and all formats of structures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.outputs import check_new
from gflownet_crystal.common.run_schema import ENERGY_STD, SPACE_GROUP
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.data.schema import LATTICE_COLUMNS
from gflownet_crystal.relaxation.records import in_setting
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import SYMPREC
from gflownet_crystal.structures.writing import (
    CIF,
    NAME,
    SINGLE,
    SUFFIXES,
    format_of,
    numbered_names,
    write_structures,
)
from gflownet_crystal.workflows.output_folder import holds_nothing

if TYPE_CHECKING:
    from gflownet_crystal.api.crystals import Crystals

_RENAMED = {"energy": "proxy_energy", ENERGY_STD: "proxy_energy_std"}
"""Columns of files of structures under another name: ASE takes ``energy`` for the total energy of a calculator."""

PARQUET = ".parquet"


def save_crystals(crystals: Crystals, path: Path, overwrite: bool) -> Path:
    """Write crystals; see :meth:`gflownet_crystal.Crystals.save`."""
    suffix = path.suffix.lower()
    chosen = format_of(path)
    if chosen is None and suffix not in (PARQUET, ""):
        known = ", ".join((*SUFFIXES.values(), PARQUET))
        raise ConfigError(
            f"cannot save crystals as {path.name}: the name ends in {known}, or in nothing for a folder of CIFs"
        )
    if not len(crystals):
        raise DataError(f"there are no crystals to save in {path}")
    if chosen in SINGLE and len(crystals) > 1:
        raise ConfigError(
            f"{path.name} would hold {len(crystals)} crystals: a {suffix} file holds one; give a folder, "
            "or a name that ends in .extxyz, .json or .db"
        )
    if suffix:
        check_new(path, "path", overwrite)
    elif path.is_file() or not (overwrite or holds_nothing(path)):
        raise ConfigError(
            f"path={path} is not empty; add overwrite=True to write into it, or give another path"
        )
    if suffix == PARQUET:
        write_parquet(path, _schema_table(crystals))
    elif chosen == CIF:
        write_text(path, crystals.to_cif()[0])
    elif suffix:
        write_structures(path, crystals.structures, _values(crystals))
    else:
        for name, text in zip(numbered_names(crystals.structures), crystals.to_cif(), strict=True):
            write_text(path / f"{name}.cif", text)
    return path


def cif_of(structure: StructureBatch) -> str:
    """The CIF of one structure in the ITA setting of its group; in P1 where none is found."""
    claimed = structure if int(structure.space_group[0]) else in_setting(structure, SYMPREC)
    return structures_to_cif(claimed)[0]


def _values(crystals: Crystals) -> pd.DataFrame:
    """Names and numerical properties of the crystals, as files of structures store them."""
    frame = crystals.to_frame()
    numbers = frame.drop(columns=["n_atoms", *LATTICE_COLUMNS]).select_dtypes("number")
    return numbers.rename(columns=_RENAMED).assign(**{NAME: frame["name"]})


def _schema_table(crystals: Crystals) -> pd.DataFrame:
    """The table in the package's schema, which :func:`gflownet_crystal.read` reads."""
    frame = crystals.to_frame()
    table = structures_to_frame(crystals.structures).assign(space_group=frame[SPACE_GROUP])
    others = frame.drop(columns=[*table.columns.intersection(frame.columns), *LATTICE_COLUMNS])
    return table.join(others.rename(columns={"name": NAME}))
