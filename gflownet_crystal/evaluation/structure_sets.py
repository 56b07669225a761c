"""Sets of structures from any of the usual files; one that cannot be read is a failure among the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import SPACE_GROUP
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.data.public_sets import data_path
from gflownet_crystal.data.readers import read_rows
from gflownet_crystal.data.rows import CLAIMED, frame_to_oriented, structure_reasons, table_to_rows
from gflownet_crystal.data.sources import kind_of
from gflownet_crystal.data.tensor_files import read_tensor_file
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.structures.structure import StructureBatch

_LARGEST_ROW = 2.0**53


@dataclass(frozen=True)
class StructureSet:
    """n structures as they were given, m of which could be read.

    Attributes:
        names: n texts.
        structures: the m that could be read; they claim no group.
        rows: (m,) int64, their places among all.
        reasons: why the others could not, by place.
        claimed: (m,) int64 space groups that the file claims, 0 for none.
        target: (m,) int64, the row of the target of each structure, where the file has it.
    """

    names: tuple[str, ...]
    structures: StructureBatch
    rows: Tensor
    reasons: Mapping[int, str]
    claimed: Tensor
    target: Tensor | None = None

    def __len__(self) -> int:
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

    @classmethod
    def of_rows(cls, frame: pd.DataFrame) -> Self:
        """From checked rows (:mod:`gflownet_crystal.data.rows`).

        Raises:
            DataError: none is a structure.
        """
        reasons = structure_reasons(frame)
        good = np.array([not reason for reason in reasons], dtype=bool)
        if not good.any():
            first = f"; the first: {reasons[0]}" if reasons else ""
            raise DataError(f"none of {len(frame)} structures could be read{first}")
        rows = torch.from_numpy(np.flatnonzero(good))
        others = {row: reason for row, reason in enumerate(reasons) if reason}
        structures = frame_to_oriented(frame[good])
        return cls(tuple(frame["material_id"]), structures, rows, others, _claims(frame)[rows])

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
        for tensor in (self.rows, self.claimed):
            digest.update(tensor.numpy().tobytes())
        digest.update(self.structures.digest().encode())
        return digest.hexdigest()


def read_set(source: Path | str, formula_check: str = "refuse") -> StructureSet:
    """Structures of a file or folder.

    Args:
        source: source of :func:`gflownet_crystal.data.readers.read_source`. A column ``row`` of Parquet or CSV names
            the target of each; torch tensors with several tries have the targets in order.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.

    Raises:
        DataError: nothing readable.
    """
    path = data_path(source)
    if not path.exists():
        raise DataError(f"no structures at {path}; give a file or a folder")
    if path.is_file() and kind_of(path) == "tensors":
        return _read_tensors(path)
    frame = read_rows(path, formula_check)
    found = StructureSet.of_rows(frame)
    return _with_targets(found, frame, path) if path.is_file() else found


def _read_tensors(path: Path) -> StructureSet:
    frame, tries = read_tensor_file(path)
    names = [f"{path.stem}-{row}" for row in range(len(frame))]
    found = StructureSet.of_rows(table_to_rows(frame.assign(material_id=names)))
    if tries == 1:
        return found
    return replace(found, target=torch.arange(len(frame) // tries).repeat(tries)[found.rows])


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


def _claims(frame: pd.DataFrame) -> Tensor:
    """Space groups that CIFs name, or else the column of a table; 0 where there is none, (n,) int64."""
    claimed = np.zeros(len(frame))
    for column in (SPACE_GROUP, CLAIMED):
        if column in frame.columns:
            groups = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
            claimed = np.where(np.isnan(groups), claimed, groups)
    known = (claimed >= 1) & (claimed <= N_SPACE_GROUPS) & (claimed == np.round(claimed))
    return torch.from_numpy(np.where(known, claimed, 0).astype(np.int64))
