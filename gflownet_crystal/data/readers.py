"""Readers of crystal data: Parquet in the package's schema, MP-20 CSV, MatBench JSON and folders of CIF files.

Every reader returns the same frame: material_id, lattice [a b c A, alpha beta gamma degrees], atomic_numbers,
frac_coords (flat) for rows with a structure, or composition and space_group for rows without; labels where known.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.schema import ENERGY_COLUMN, STRUCTURE_COLUMNS, require_columns
from gflownet_crystal.structures.cif_reading import read_cif

MP20_COLUMNS = ("material_id", ENERGY_COLUMN, "cif", "spacegroup.number")
"""Columns of the MP-20 benchmark's CSV files."""

MATBENCH_COLUMNS = ("structure", "e_form")
"""Columns of MatBench's formation-energy JSON, given in its ``columns`` field."""

TABLES = (".parquet", ".csv", ".json", ".json.gz")
"""Ends of the names of files with many crystals each."""


def read_source(source: Path | str) -> pd.DataFrame:
    """Read a file or folder by what it is.

    Args:
        source: ``.parquet`` (package schema, with structures or with composition and space_group), ``.csv`` (MP-20),
            ``.json`` or ``.json.gz`` (MatBench), or a folder of any of these or of ``.cif`` files.

    Returns:
        One frame, rows in the order of the source.

    Raises:
        DataError: nothing readable, a malformed file or a missing column; one line.
    """
    path = Path(source)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise DataError(f"no data at {path}; give a file or a folder")
    if path.name.endswith((".json", ".json.gz")):
        return read_matbench_json(path)
    readers = {".parquet": read_structures_parquet, ".csv": read_mp20_csv, ".cif": read_cif_file}
    if path.suffix not in readers:
        raise DataError(f"cannot read {path}: give .parquet, .csv, .json, .json.gz or .cif")
    return readers[path.suffix](path)


def read_table(path: Path) -> pd.DataFrame:
    """Any Parquet file.

    Raises:
        DataError: the file is not Parquet.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"no data at {path}; give a file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} as Parquet: {str(error).splitlines()[0]}") from error


def read_structures_parquet(path: Path) -> pd.DataFrame:
    """Parquet in the package's schema; rows without structures have composition and space_group instead.

    Raises:
        DataError: the file is not Parquet or lacks a column.
    """
    frame = read_table(path)
    if "lattice" not in frame.columns and "composition" in frame.columns:
        require_columns(frame, ("composition", "space_group"), path)
        frame = frame.rename(columns={"matbench_id": "material_id"})
        if "material_id" not in frame.columns:
            frame["material_id"] = [f"{path.stem}-{row}" for row in range(len(frame))]
        return _with_source(frame, path.stem)
    require_columns(frame, STRUCTURE_COLUMNS, path)
    return frame


def read_mp20_csv(path: Path) -> pd.DataFrame:
    """MP-20's CSV: one CIF text a row.

    Raises:
        DataError: a column is missing or a CIF is malformed; the row is named.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} as CSV: {str(error).splitlines()[0]}") from error
    require_columns(frame, MP20_COLUMNS, path)
    structures = [structure_of_cif(text, f"{path}, row {row}") for row, text in enumerate(frame["cif"])]
    table = _structure_frame(frame["material_id"].astype(str), structures)
    table[ENERGY_COLUMN] = frame[ENERGY_COLUMN].to_numpy(dtype=np.float64)
    for column in ("band_gap", "e_above_hull"):
        if column in frame.columns:
            table[column] = frame[column].to_numpy(dtype=np.float64)
    table["energy_source"] = f"mp20_{path.stem}"
    return table


def read_matbench_json(path: Path) -> pd.DataFrame:
    """MatBench's formation-energy task: ``{"index", "columns", "data"}`` with structures as pymatgen dictionaries.

    Raises:
        DataError: the file is not of this form; the row is named.
    """
    from pymatgen.core import Structure

    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            content = json.load(file)
        index, columns, data = content["index"], list(content["columns"]), content["data"]
        structure_column, label_column = (columns.index(name) for name in MATBENCH_COLUMNS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        needs = 'an object with "index", "columns" (structure, e_form) and "data"'
        raise DataError(f"{path} is not a MatBench JSON file: {needs} is needed ({error!r})") from error
    structures = []
    for row, values in enumerate(data):
        try:
            structures.append(Structure.from_dict(values[structure_column]))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path}, row {row}: not a pymatgen structure ({error!r})") from error
    table = _structure_frame([f"{path.stem.removesuffix('.json')}-{key}" for key in index], structures)
    table[ENERGY_COLUMN] = [float(values[label_column]) for values in data]
    return _with_source(table, "matbench")


def read_cif_file(path: Path) -> pd.DataFrame:
    """One CIF file; there is no label.

    Raises:
        DataError: the file is malformed.
    """
    return _read_cifs([path])


def _read_folder(folder: Path) -> pd.DataFrame:
    for suffixes in ((".parquet",), (".csv",), (".json", ".json.gz")):
        files = sorted(file for file in folder.iterdir() if file.name.endswith(suffixes))
        if files:
            return pd.concat([read_source(file) for file in files], ignore_index=True)
    files = sorted(folder.rglob("*.cif"))
    if not files:
        raise DataError(f"{folder} has no .parquet, .csv, .json or .cif files; give a folder with data")
    return _read_cifs(files)


def _read_cifs(files: list[Path]) -> pd.DataFrame:
    structures = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {file}: {error}") from error
        structures.append(structure_of_cif(content, str(file)))
    return _structure_frame([file.stem for file in files], structures)


def structure_of_cif(text: str | bytes, origin: str) -> Any:
    """The pymatgen structure of a CIF.

    Args:
        text: content of a CIF with one crystal, or the bytes of its file.
        origin: named in errors.

    Raises:
        DataError: the content does not say which crystal it holds, or holds several.
    """
    from pymatgen.core import Structure

    if not isinstance(text, str | bytes):
        raise DataError(f"{origin}: no CIF but {text!r}")
    crystal = read_cif(text, origin)
    return Structure(crystal.cell, crystal.atomic_numbers.tolist(), crystal.frac_coords)


def _structure_frame(names: Iterable[str], structures: list[Any]) -> pd.DataFrame:
    for name, structure in zip(names, structures, strict=True):
        if not structure.is_ordered:
            raise DataError(
                f"{name}: a site is shared by several elements; only ordered crystals can be used"
            )
    return pd.DataFrame(
        {
            "material_id": list(names),
            "lattice": [np.array(structure.lattice.parameters) for structure in structures],
            "atomic_numbers": [np.array(structure.atomic_numbers) for structure in structures],
            "frac_coords": [structure.frac_coords.ravel() for structure in structures],
        }
    )


def _with_source(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame if "energy_source" in frame.columns else frame.assign(energy_source=name)
