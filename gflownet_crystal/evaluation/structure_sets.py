"""Sets of structures from any of the usual files; one that cannot be read is a failure among the others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.lattice import is_possible
from gflownet_crystal.data.readers import read_structures_parquet, structure_of_cif
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS, require_columns
from gflownet_crystal.evaluation.tensor_files import TENSOR_FILES, read_tensor_file
from gflownet_crystal.relaxation.inputs import Item, cif_files, read_items
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch

_LARGEST_ROW = 2.0**53
_GROUP_TAG = re.compile(r"^_(?:space_group_IT_number|symmetry_Int_Tables_number)\s+'?(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class StructureSet:
    """n structures as they were given, m of which could be read.

    Attributes:
        names: n texts.
        structures: the m that could be read; they claim no group.
        rows: (m,) int64, their places among all.
        reasons: why the others could not, by place.
        claimed: (m,) int64 space groups that the file claims, 0 for none.
        target: (m,) int64, the row of what a structure was made for, where the file says it.
    """

    names: tuple[str, ...]
    structures: StructureBatch
    rows: Tensor
    reasons: Mapping[int, str]
    claimed: Tensor
    target: Tensor | None = None

    def __len__(self) -> int:
        """Number of structures, unreadable ones included."""
        return len(self.names)

    @classmethod
    def of(cls, items: Sequence[Item], claimed: Mapping[int, int] | None = None) -> Self:
        """From single structures.

        Args:
            items: n of them, at least one readable.
            claimed: space groups by place.

        Raises:
            DataError: none could be read.
        """
        rows = [row for row, item in enumerate(items) if item.structure is not None]
        read = [item.structure for item in items if item.structure is not None]
        if not read:
            first = f"; the first: {items[0].reason}" if items else ""
            raise DataError(f"none of {len(items)} structures could be read{first}")
        reasons = {row: item.reason for row, item in enumerate(items) if item.structure is None}
        groups = torch.tensor([(claimed or {}).get(row, 0) for row in rows])
        joined = StructureBatch.cat(read)
        return cls(tuple(item.name for item in items), joined, torch.tensor(rows), reasons, groups)

    def head(self, n: int) -> Self:
        """The first n as they were given."""
        kept = self.rows < n
        return type(self)(
            self.names[:n],
            self.structures[kept],
            self.rows[kept],
            {row: reason for row, reason in self.reasons.items() if row < n},
            self.claimed[kept],
            None if self.target is None else self.target[kept],
        )

    def digest(self) -> str:
        """A text that changes if a structure does."""
        digest = hashlib.sha256(f"{len(self)}".encode())
        for tensor in (self.rows, self.structures.n_atoms, self.claimed):
            digest.update(tensor.numpy().tobytes())
        for tensor in (self.structures.cell, self.structures.atomic_numbers, self.structures.fractional):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def read_set(source: Path | str) -> StructureSet:
    """Structures of a file or folder.

    Args:
        source: a folder of CIF files, one CIF, extended XYZ, Parquet in the package's schema, CSV with a column
            ``cif``, torch tensors (``.pt``) named as in ``TENSORS``, or what ``relax`` reads. A column ``row`` of
            Parquet or CSV names the target of each.

    Raises:
        DataError: nothing readable.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(f"no structures at {path}; give a file or a folder")
    if path.suffix in TENSOR_FILES:
        return _read_tensors(path)
    if path.suffix == ".parquet" and path.is_file():
        return _read_parquet(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    return StructureSet.of(read_items(path), _claims(map(_text, cif_files(path))))


def _read_parquet(path: Path) -> StructureSet:
    frame = read_structures_parquet(path)
    require_columns(frame, STRUCTURE_COLUMNS, path)
    try:
        found = _of_frame(frame["material_id"].astype(str).tolist(), frame)
    except DataError:
        # row by row, to keep the good ones
        found = StructureSet.of(read_items(path))
    groups = pd.to_numeric(frame.get("space_group", pd.Series(0, index=frame.index)), errors="coerce")
    claimed = groups.where(groups.between(1, 230), 0).to_numpy(dtype="int64")
    return _with_targets(replace(found, claimed=torch.tensor(claimed)[found.rows]), frame, path)


def _read_tensors(path: Path) -> StructureSet:
    frame, tries = read_tensor_file(path)
    found = _of_frame([f"{path.stem}-{row}" for row in range(len(frame))], frame)
    if tries == 1:
        return found
    return replace(found, target=torch.arange(len(frame) // tries).repeat(tries)[found.rows])


def _read_csv(path: Path) -> StructureSet:
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} as CSV: {str(error).splitlines()[0]}") from error
    require_columns(frame, ("cif",), path)
    name = next((column for column in ("material_id", "name") if column in frame.columns), None)
    names = [f"{path.stem}-{row}" for row in range(len(frame))] if name is None else frame[name].astype(str)
    items = [_item_of_cif(name, text) for name, text in zip(names, frame["cif"], strict=True)]
    return _with_targets(StructureSet.of(items, _claims(map(str, frame["cif"]))), frame, path)


def _with_targets(found: StructureSet, frame: pd.DataFrame, path: Path) -> StructureSet:
    """A set with the targets that a column ``row`` of its table names."""
    if "row" not in frame:
        return found
    numbers = pd.to_numeric(frame["row"], errors="coerce").to_numpy(dtype="float64")
    whole = np.abs(numbers) < _LARGEST_ROW
    whole[whole] = numbers[whole] % 1.0 == 0.0
    if not whole.all():
        first = int(np.flatnonzero(~whole)[0])
        raise DataError(
            f"{path}: column row has to name the row of a target, not {frame['row'].iloc[first]!r} (row {first})"
        )
    return replace(found, target=torch.from_numpy(numbers.astype("int64"))[found.rows])


def _of_frame(names: Sequence[str], frame: pd.DataFrame) -> StructureSet:
    """A set of rows in the package's schema; those that are no crystals are left out.

    Raises:
        DataError: rows that make no batch, or no crystal among them.
    """
    structures = frame_to_structures(frame.drop(columns="space_group", errors="ignore"))
    faults = _faults(structures, torch.from_numpy(np.stack(frame["lattice"].tolist()).astype(np.float64)))
    reasons = {
        row: "; ".join(text for text, rows in faults.items() if bool(rows[row]))
        for row in torch.stack(list(faults.values())).any(0).nonzero()[:, 0].tolist()
    }
    good = torch.ones(len(names), dtype=torch.bool)
    good[list(reasons)] = False
    rows = good.nonzero()[:, 0]
    if not len(rows):
        first = f"; the first: {reasons[0]}" if reasons else ""
        raise DataError(f"none of {len(names)} structures could be read{first}")
    return StructureSet(tuple(names), structures[rows], rows, reasons, torch.zeros_like(rows))


def _faults(structures: StructureBatch, lattice: Tensor) -> dict[str, Tensor]:
    """Structures (n,) bool with each fault, of their lattice parameters (n, 6)."""
    numbers, index = structures.atomic_numbers, structures.structure_index

    def holds(atoms: Tensor) -> Tensor:
        rows = torch.zeros(len(structures), dtype=torch.bool)
        rows[index[atoms]] = True
        return rows

    possible = is_possible(lattice[:, :3], lattice[:, 3:])
    return {
        "no atoms": structures.n_atoms == 0,
        "unknown elements": holds((numbers < 1) | (numbers >= N_ATOMIC_NUMBERS)),
        "coordinates that are not finite": holds(~structures.fractional.isfinite().all(1)),
        "lattice lengths that are not above 0, or angles not between 0 and 180 degrees": ~possible,
        "lattice angles that close no cell": possible & ~structures.cell.isfinite().all(2).all(1),
    }


def _item_of_cif(name: str, text: Any) -> Item:
    try:
        return Item(name, from_pymatgen([structure_of_cif(text, name)]))
    except DataError as error:
        return Item(name, None, str(error))


def _claims(texts: Iterable[str]) -> dict[int, int]:
    """Space groups that CIFs name, by place; P1, which writers name for want of symmetry, claims nothing."""
    matches = enumerate(map(_GROUP_TAG.search, texts))
    named = {row: int(match[1]) for row, match in matches if match is not None}
    return {row: group for row, group in named.items() if 1 < group <= 230}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
