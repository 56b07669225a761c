"""Structures to relax: read one by one, so that a file that cannot be read is one failure among the results."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.lattice import is_possible
from gflownet_crystal.data.readers import TABLES, read_cif_file, read_source
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS, require_columns
from gflownet_crystal.data.standardize import parameters_to_rows
from gflownet_crystal.structures.convert import from_arrays, from_ase
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.structure import StructureBatch

XYZ = (".xyz", ".extxyz")


@dataclass(frozen=True)
class Item:
    """A structure to relax.

    Attributes:
        name: of the file, or the row's ``material_id``.
        structure: one structure; None if it could not be read.
        reason: why not.
    """

    name: str
    structure: StructureBatch | None
    reason: str = ""


def read_items(source: Path | str) -> list[Item]:
    """All structures of a file or folder, in its order.

    Args:
        source: a folder with ``.cif`` files, such as the candidates of a run; one ``.cif``, extended ``.xyz``, or what
            :func:`gflownet_crystal.data.readers.read_source` reads with structures.

    Raises:
        DataError: nothing readable.
    """
    path = Path(source)
    if files := cif_files(path):
        return [_item_of_cif(file) for file in files]
    items = list(_items_of_xyz(path) if path.suffix in XYZ else _items_of_table(path))
    if not items:
        raise DataError(f"no structures in {path}; give a file or folder with some")
    return items


def cif_files(path: Path) -> list[Path]:
    """The CIF that a path is, or those of a folder, sorted; those of its subfolders only where it has no data."""
    if not path.is_dir():
        return [path] if _is_cif(path) else []
    if files := sorted(filter(_is_cif, path.iterdir())):
        return files
    tables = any(file.name.endswith(TABLES) for file in path.iterdir())
    return [] if tables else sorted(filter(_is_cif, path.rglob("*")))


def fingerprint(items: Sequence[Item]) -> str:
    """A digest of names and structures that changes if one of them does."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(item.name.encode() + b"\0")
        if item.structure is not None:
            for tensor in (item.structure.cell, item.structure.atomic_numbers, item.structure.fractional):
                digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _is_cif(path: Path) -> bool:
    return path.suffix.lower() == ".cif" and path.is_file()


def _item_of_cif(file: Path) -> Item:
    try:
        row = read_cif_file(file).iloc[0]
    except DataError as error:
        return Item(file.stem, None, str(error))
    return _item_of_row(file.stem, row)


def _items_of_table(path: Path) -> Iterator[Item]:
    frame = read_source(path)
    require_columns(frame, STRUCTURE_COLUMNS, path)
    for _, row in frame.iterrows():
        yield _item_of_row(str(row["material_id"]), row)


def _item_of_row(name: str, row: Any) -> Item:
    try:
        lattice = np.asarray(row["lattice"], dtype=np.float64)
        numbers = np.asarray(row["atomic_numbers"], dtype=np.float64)
        points = np.asarray(row["frac_coords"], dtype=np.float64).reshape(-1, 3)
        if lattice.shape != (6,):
            raise DataError(f"its lattice has {lattice.size} numbers, not six")
        if not is_possible(*torch.tensor(lattice).split(3)):
            raise DataError(
                "a length of its lattice is not above 0, or an angle not between 0 and 180 degrees"
            )
        if (numbers % 1.0 != 0.0).any():
            raise DataError("its atomic numbers are not whole")
        cell = parameters_to_rows(lattice[None])
        structure = from_arrays(cell, [numbers.astype(np.int64)], [points])
    except (ValueError, TypeError) as error:
        return Item(name, None, f"malformed: {error}")
    return _checked(name, structure)


def _items_of_xyz(path: Path) -> Iterator[Item]:
    from ase.io import read

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = read(path, index=":")
    except Exception as error:  # ASE's readers raise all kinds of errors
        raise DataError(
            f"cannot read {path} as extended XYZ: {error or type(error).__name__}; give a whole file"
        ) from error
    for row, atoms in enumerate(frames):
        name = f"{path.stem}-{row}"
        try:
            yield _checked(name, from_ase([atoms]))
        except DataError as error:
            yield Item(name, None, str(error))


def _checked(name: str, structure: StructureBatch) -> Item:
    numbers = structure.atomic_numbers
    if len(numbers) == 0 or bool(((numbers < 1) | (numbers >= N_ATOMIC_NUMBERS)).any()):
        return Item(name, None, f"no atoms, or atomic numbers outside 1 to {N_ATOMIC_NUMBERS - 1}")
    if not bool(structure.cell.isfinite().all() and structure.fractional.isfinite().all()):
        return Item(name, None, "a cell or coordinates that are not finite")
    return Item(name, structure)
