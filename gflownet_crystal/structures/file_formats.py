"""Structures as texts of POSCAR, pymatgen's JSON and extended XYZ, and as ASE's database.

pymatgen and ASE write; both are imported only when used. Lattice vectors are right-handed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.structures.convert import to_ase, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    import ase

_DECIMALS = 10
Values = Sequence[Mapping[str, bool | int | float | str]]
"""Values of each structure by name."""


def structures_to_poscar(structures: StructureBatch, names: Sequence[str]) -> list[str]:
    """One POSCAR of VASP 5 each, atoms grouped by element in the order in which elements come first.

    Args:
        structures: n structures.
        names: n texts for the first line.
    """
    from pymatgen.core import Structure
    from pymatgen.io.vasp import Poscar

    texts = []
    for structure, name in zip(to_pymatgen(rounded(structures)), names, strict=True):
        numbers = list(structure.atomic_numbers)
        order = sorted(range(len(numbers)), key=lambda atom: numbers.index(numbers[atom]))
        grouped = Structure.from_sites([structure[atom] for atom in order])
        poscar = Poscar(grouped, comment=" ".join(name.split()), sort_structure=False)
        texts.append(poscar.get_str(significant_figures=_DECIMALS))
    return texts


def structures_to_json(structures: StructureBatch, names: Sequence[str], values: Values) -> str:
    """JSON list: ``material_id``, values, and pymatgen's dictionary of a structure under ``structure``."""
    rows = [
        {"material_id": name, **row, "structure": structure.as_dict(verbosity=0)}
        for structure, name, row in zip(to_pymatgen(rounded(structures)), names, values, strict=True)
    ]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def structures_to_extended_xyz(structures: StructureBatch, names: Sequence[str], values: Values) -> str:
    """Frames of extended XYZ with the name and the values in each comment."""
    from ase.io.extxyz import write_xyz

    frames = to_ase(rounded(structures))
    for atoms, name, row in zip(frames, names, values, strict=True):
        atoms.info = {"name": name, **row}
        atoms.info = {key: _quoted(value) for key, value in atoms.info.items()}
    file = StringIO()
    write_xyz(file, frames, write_results=False)
    return file.getvalue()


def _quoted(value: bool | int | float | str) -> bool | int | float | str:
    """A text that ASE would read as a number or as true or false, as JSON, which it reads as the text."""
    from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    read = key_val_str_to_dict(key_val_dict_to_str({"x": line}))["x"]
    return line if isinstance(read, str) and read == line else f"_JSON {json.dumps(line)}"


def write_database(path: Path, structures: StructureBatch, names: Sequence[str], values: Values) -> None:
    """Write a database of ASE, atomically; one that has the same rows already is left as it is.

    Args:
        path: ends in ``.db``.
        structures: n structures.
        names: n texts.
        values: values of each structure; all of them stand in ``data``, those that ASE can search for as key-value
            pairs.
    """
    from ase.db import connect

    rows = [
        _database_row(number, atoms, name, dict(row))
        for number, (atoms, name, row) in enumerate(
            zip(to_ase(rounded(structures)), names, values, strict=True)
        )
    ]
    if _ids_of(path) == [row.unique_id for row in rows]:
        return
    with atomic_path(path) as temporary:
        temporary.unlink()
        with connect(temporary, type="db", use_lock_file=False) as database:
            for row in rows:
                database.write(row, data=row.data)


def _database_row(number: int, atoms: ase.Atoms, name: str, values: dict[str, object]) -> Any:
    """A row whose identifier follows from its place and content, and without the name of the user."""
    from ase.db.row import AtomsRow

    data = {"name": name, **values}
    content = (number, atoms.numbers.tolist(), atoms.cell.tolist(), atoms.positions.tolist(), data)
    return AtomsRow(
        {
            "numbers": atoms.numbers,
            "positions": atoms.positions,
            "cell": np.asarray(atoms.cell),
            "pbc": atoms.pbc,
            "unique_id": hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32],
            "ctime": 0.0,
            "user": "",
            "key_value_pairs": {key: value for key, value in data.items() if _is_searchable(key, value)},
            "data": data,
        }
    )


def _is_searchable(key: str, value: Any) -> bool:
    from ase.db.core import check

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            check({key: value})
        except (ValueError, Warning):
            return False
    return True


def _ids_of(path: Path) -> list[str]:
    """Identifiers of the rows of a database; empty if there is none."""
    if not path.is_file():
        return []
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return [row for (row,) in connection.execute("SELECT unique_id FROM systems ORDER BY id")]
        finally:
            connection.close()
    except sqlite3.Error:
        return []


def rounded(structures: StructureBatch) -> StructureBatch:
    """Right-handed structures on the CPU, lattice vectors to 1e-10 Å and coordinates to 1e-10 of a vector."""
    structures = structures.to("cpu").right_handed()
    return replace(structures, cell=_round(structures.cell), fractional=_round(structures.fractional))


def _round(values: torch.Tensor) -> torch.Tensor:
    # adding zero takes the sign off a negative zero
    return torch.from_numpy(np.round(values.numpy(), _DECIMALS) + 0.0)
