"""Structures to relax: read one by one, so that a file that cannot be read is one failure among the results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.readers import read_rows
from gflownet_crystal.data.rows import frame_to_oriented, structure_reasons
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Item:
    """A structure to relax.

    Attributes:
        name: name of the file, or the row's ``material_id``.
        structure: one structure; None if it could not be read.
        reason: why not.
    """

    name: str
    structure: StructureBatch | None
    reason: str = ""


def read_items(source: Path | str, formula_check: str = "refuse") -> list[Item]:
    """All structures of a file or folder, in its order.

    Args:
        source: source of :func:`gflownet_crystal.data.readers.read_source`, such as the folder of a run's candidates.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.

    Raises:
        DataError: nothing readable.
    """
    frame = read_rows(source, formula_check)
    reasons = structure_reasons(frame)
    good = [row for row, reason in enumerate(reasons) if not reason]
    if not good:
        raise DataError(f"{source}: none of {len(frame)} structures could be read; the first: {reasons[0]}")
    read = frame_to_oriented(frame.iloc[good])
    rows = dict(zip(good, range(len(good)), strict=True))
    return [
        Item(name, read[slice(rows[row], rows[row] + 1)]) if not reason else Item(name, None, reason)
        for row, (name, reason) in enumerate(zip(frame["material_id"], reasons, strict=True))
    ]


def fingerprint(items: Sequence[Item]) -> str:
    """A digest of names and structures that changes if one of them does."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(item.name.encode() + b"\0")
        if item.structure is not None:
            for tensor in (item.structure.cell, item.structure.atomic_numbers, item.structure.fractional):
                digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
