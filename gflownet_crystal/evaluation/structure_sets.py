"""Sets of structures from any of the usual files; one that cannot be read is a failure among the others."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.readers import read_structures_parquet
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS, require_columns
from gflownet_crystal.relaxation.inputs import Item, read_items
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch

TENSOR_FILES = (".pt", ".pth")
TENSORS = ("frac_coords", "atom_types", "lengths", "angles", "num_atoms")
"""Names of a file of tensors, as the code of CDVAE and its successors writes it."""

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
            ``cif``, torch tensors (``.pt``) named as in ``TENSORS``, or what ``relax`` reads.

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
        return StructureSet.of(list(_items_of_csv(path)))
    files = sorted(path.glob("*.cif")) if path.is_dir() else [path] if path.suffix == ".cif" else []
    return StructureSet.of(read_items(path), _claims(files))


def _read_parquet(path: Path) -> StructureSet:
    frame = read_structures_parquet(path)
    require_columns(frame, STRUCTURE_COLUMNS, path)
    sizes = [len(numbers) for numbers in frame["atomic_numbers"]]
    whole = all(size > 0 for size in sizes) and all(len(lattice) == 6 for lattice in frame["lattice"])
    if whole and all(len(x) == 3 * size for x, size in zip(frame["frac_coords"], sizes, strict=True)):
        found = _of_batch(frame["material_id"].astype(str).tolist(), frame_to_structures(frame))
    else:
        found = StructureSet.of(read_items(path))
    rows = found.rows.numpy()
    groups = pd.to_numeric(frame.get("space_group", pd.Series(0, index=frame.index)), errors="coerce")
    claimed = torch.from_numpy(groups.fillna(0).to_numpy(dtype="int64")[rows].copy())
    target = torch.from_numpy(frame["row"].to_numpy(dtype="int64")[rows].copy()) if "row" in frame else None
    return StructureSet(found.names, found.structures, found.rows, found.reasons, claimed, target)


def _read_tensors(path: Path) -> StructureSet:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        fractional, numbers, lengths, angles, sizes = (torch.as_tensor(stored[name]) for name in TENSORS)
    except Exception as error:  # torch raises all kinds of them, for files with anything but tensors too
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"cannot read {path}: a dictionary of the tensors {', '.join(TENSORS)}, and nothing that has to be "
            f"unpickled, is needed ({reason})"
        ) from error
    counts = sizes.flatten().long()
    # a leading dimension counts tries
    tries = math.prod(sizes.shape[:-1])
    flat = fractional.reshape(-1, 3).double(), numbers.flatten().long()
    parameters = torch.cat([lengths.reshape(-1, 3), angles.reshape(-1, 3)], dim=1).double()
    if not len(flat[0]) == len(flat[1]) == int(counts.sum()) or len(parameters) != len(counts):
        raise DataError(f"{path}: num_atoms does not fit the numbers of coordinates, types or lattices")
    names = [f"{path.stem}-{row}" for row in range(len(counts))]
    frame = pd.DataFrame(
        {
            "lattice": list(parameters.numpy()),
            "atomic_numbers": [x.numpy() for x in flat[1].split(counts.tolist())],
            "frac_coords": [x.flatten().numpy() for x in flat[0].split(counts.tolist())],
        }
    )
    found = _of_batch(names, frame_to_structures(frame))
    if tries == 1:
        return found
    target = torch.arange(len(counts) // tries).repeat(tries)[found.rows]
    return StructureSet(found.names, found.structures, found.rows, found.reasons, found.claimed, target)


def _of_batch(names: Sequence[str], structures: StructureBatch) -> StructureSet:
    """A set of a batch; structures with unknown elements, no atoms or numbers that are not finite are left out."""
    numbers, index = structures.atomic_numbers, structures.structure_index
    good = structures.cell.isfinite().all(2).all(1) & (structures.n_atoms > 0)
    bad_atoms = (numbers < 1) | (numbers >= N_ATOMIC_NUMBERS) | ~structures.fractional.isfinite().all(1)
    good[index[bad_atoms]] = False
    rows = good.nonzero()[:, 0]
    if not len(rows):
        raise DataError(f"none of {len(names)} structures has a cell and known elements")
    reason = "no atoms, unknown elements, or a cell or coordinates that are not finite"
    reasons = dict.fromkeys((~good).nonzero()[:, 0].tolist(), reason)
    kept = structures[rows]
    without = torch.zeros(len(rows), dtype=torch.int64)
    plain = StructureBatch(kept.cell, kept.atomic_numbers, kept.fractional, kept.structure_index, without)
    return StructureSet(tuple(names), plain, rows, reasons, without)


def _items_of_csv(path: Path) -> Iterator[Item]:
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} as CSV: {str(error).splitlines()[0]}") from error
    require_columns(frame, ("cif",), path)
    name = next((column for column in ("material_id", "name") if column in frame.columns), None)
    for row, text in enumerate(frame["cif"]):
        yield _item_of_cif(f"{path.stem}-{row}" if name is None else str(frame[name][row]), text)


def _item_of_cif(name: str, text: Any) -> Item:
    from pymatgen.io.cif import CifParser

    try:
        with warnings.catch_warnings():
            # pymatgen warns of every rounded coordinate
            warnings.simplefilter("ignore")
            structure = CifParser.from_str(str(text)).parse_structures(primitive=False)[0]
        return Item(name, from_pymatgen([structure]))
    except Exception as error:  # pymatgen raises all kinds of them
        return Item(name, None, f"not a CIF of an ordered crystal: {' '.join(str(error).split())}")


def _claims(files: Sequence[Path]) -> dict[int, int]:
    """Space groups that CIF files name, by place; P1, which writers name for want of symmetry, claims nothing."""
    found = {}
    for row, file in enumerate(files):
        try:
            match = _GROUP_TAG.search(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
        if match is not None and 1 < int(match[1]) <= 230:
            found[row] = int(match[1])
    return found
