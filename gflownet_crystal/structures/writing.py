"""Files of structures: CIF, POSCAR, pymatgen's JSON, extended XYZ and ASE's database, one file or a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import write_text_if_new
from gflownet_crystal.common.values import names_setting
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.file_formats import (
    structures_to_extended_xyz,
    structures_to_json,
    structures_to_poscar,
    write_database,
)
from gflownet_crystal.structures.structure import StructureBatch

SUFFIXES = {"cif": ".cif", "poscar": ".vasp", "json": ".json", "extxyz": ".extxyz", "db": ".db"}
"""Formats of structures, with the end of their files' names."""

FORMATS = tuple(SUFFIXES)
SINGLE = ("cif", "poscar")
"""Formats of one structure a file, in a folder of the format's name; the others have one file of all structures."""

STEM = "structures"
"""Name, without its end, of a file of all structures in a folder."""

NAME, CIF = "material_id", "cif"
"""Columns of a table of values: the structure's name; its CIF's path in the folder, where that is not the usual one."""

_SPELLINGS = {suffix: name for name, suffix in SUFFIXES.items()} | {".xyz": "extxyz", ".poscar": "poscar"}
_UNSAFE = re.compile(r"[^\w.+=@-]+")
_RESERVED = ("energy", "forces", "stress", "virial", "free_energy", "magmom", "magmoms", "charges", "dipole")
_DIGITS = 8


def format_of(path: Path) -> str | None:
    """The format that the end of a file's name stands for; None if it stands for none."""
    return _SPELLINGS.get(path.suffix.lower())


def formats_setting(value: object, key: str = "format", always: Sequence[str] = ()) -> tuple[str, ...]:
    """Formats of structures; null stands for none.

    Args:
        value: one name or several.
        key: place in the configuration, for the message.
        always: formats that are there whatever is asked for.

    Raises:
        ConfigError: a name is unknown.
    """
    return check_formats([*always, *([] if value is None else names_setting(value, key))])


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Formats without repetitions, in the order of ``FORMATS``."""
    for name in names:
        if name not in FORMATS:
            raise ConfigError(f"unknown format {name!r} of structures; choose among {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in names)


def numbered_names(structures: StructureBatch) -> list[str]:
    """Names of structures in their order: a number from 1 and the reduced formula."""
    formulas = structures.specs().reduced_formulas()
    width = max(3, len(str(len(formulas))))
    return [f"{number:0{width}d}_{formula}" for number, formula in enumerate(formulas, start=1)]


def write_structures(
    out: Path,
    structures: StructureBatch,
    values: pd.DataFrame | None = None,
    formats: Sequence[str] | None = None,
) -> None:
    """Write structures to a file, or in some formats to a folder; each file is written whole or not at all.

    A file that has the same content already is left as it is.

    Args:
        out: the file, whose end gives the format; with ``formats`` a folder.
        structures: n structures; those that are in the ITA setting of a group claim it in CIFs if they have it.
        values: n rows of values that JSON, extended XYZ and databases keep with the structures, such as energies and
            names (``material_id``, else numbered). Empty values and lists are left out.
        formats: names of ``FORMATS`` for a folder; None for one file.

    Raises:
        ConfigError: an unknown format.
        DataError: several structures for a file that holds one, none at all, or the place cannot be written.
    """
    table = pd.DataFrame(index=range(len(structures))) if values is None else values
    if NAME not in table.columns:
        table = table.assign(**{NAME: numbered_names(structures)})
    if formats is None:
        _write_file(out, structures, table)
        return
    for chosen in check_formats(formats):
        if chosen in SINGLE:
            _write_each(out, structures, table, chosen)
        elif len(structures):
            _write_all(out / f"{STEM}{SUFFIXES[chosen]}", structures, table, chosen)


def _write_file(path: Path, structures: StructureBatch, table: pd.DataFrame) -> None:
    chosen = format_of(path)
    if chosen is None:
        raise ConfigError(
            f"{path}: no known format of structures; let the name end in {', '.join(_SPELLINGS)}"
        )
    if not len(structures):
        raise DataError(f"{path}: no structures to write")
    if chosen not in SINGLE:
        _write_all(path, structures, table, chosen)
    elif len(structures) == 1:
        write_text_if_new(path, _texts(structures, table, chosen)[0])
    else:
        raise DataError(
            f"{path} would hold one structure, and there are {len(structures)}; give a folder with format={chosen}, "
            "or a name that ends in .json, .extxyz or .db"
        )


def _write_each(folder: Path, structures: StructureBatch, table: pd.DataFrame, chosen: str) -> None:
    names = [f"{chosen}/{name}{SUFFIXES[chosen]}" for name in file_names(table[NAME])]
    if chosen == CIF and CIF in table.columns:
        names = table[CIF].tolist()
    for name, text in zip(names, _texts(structures, table, chosen), strict=True):
        write_text_if_new(folder / name, text)


def _write_all(path: Path, structures: StructureBatch, table: pd.DataFrame, chosen: str) -> None:
    names, rows = table[NAME].astype(str).tolist(), _plain_values(table)
    if chosen == "json":
        write_text_if_new(path, structures_to_json(structures, names, rows))
    elif chosen == "extxyz":
        write_text_if_new(path, structures_to_extended_xyz(structures, names, rows))
    else:
        write_database(path, structures, names, rows)


def _texts(structures: StructureBatch, table: pd.DataFrame, chosen: str) -> list[str]:
    if chosen == "cif":
        return structures_to_cif(structures)
    return structures_to_poscar(structures, table[NAME].astype(str).tolist())


def file_names(names: Sequence[object] | pd.Series) -> list[str]:
    """Names without the characters that files cannot have, numbered where several are equal."""
    plain = [_UNSAFE.sub("_", str(name)).strip(".") or "_" for name in names]
    # file systems may take capital and small letters for one
    count, seen = Counter(name.lower() for name in plain), Counter[str]()
    result, taken = [], set(count)
    for name in plain:
        key = name.lower()
        seen[key] += 1
        while seen[key] > 1 and f"{key}-{seen[key]}" in taken:
            seen[key] += 1
        result.append(name if seen[key] == 1 else f"{name}-{seen[key]}")
        taken.add(result[-1].lower())
    return result


def _plain_values(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Values of each row as plain numbers and texts, to eight digits, without empty ones and lists."""
    columns = [str(name) for name in table.columns if name not in (NAME, CIF)]
    if (taken := [name for name in columns if name in _RESERVED]) != []:
        raise DataError(
            f"ASE's files keep {taken[0]} for the total energy and the like of a calculator; rename the column"
        )
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for name in columns:
        for row, value in zip(rows, table[name], strict=True):
            if (plain := _plain(value)) is not None:
                row[name] = plain
    return rows


def _plain(value: Any) -> bool | int | float | str | None:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value if isinstance(value, str) and value else None
