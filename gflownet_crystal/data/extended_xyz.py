"""Extended XYZ files, frame by frame."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from io import StringIO
from typing import Any

import numpy as np

from gflownet_crystal.data.own_values import named_apart, own_labels, own_name
from gflownet_crystal.data.rows import Row
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS

_COLUMNS = re.compile(r"\bProperties\s*=\s*(\"[^\"]*\"|\S+)", re.IGNORECASE)
_COUNT = re.compile(r":[RILS]:(\d+)", re.IGNORECASE)
_MOST_NUMBERS = 10_000
_POSITIONS = re.compile(r"[=:\"](pos|positions):R:3\b", re.IGNORECASE)


def rows_of_xyz(text: str, name: str) -> list[Row]:
    """All frames of an extended XYZ file; one that cannot be read is no reason to lose the others.

    Args:
        text: text of the file.
        name: the beginning of the names of crystals that have none of their own.
    """
    rows = [Row("", reason=frame) if is_fault else _row(frame) for frame, is_fault in _frames(text)]
    return named_apart(rows, name)


def _frames(text: str) -> Iterator[tuple[str, bool]]:
    """Texts of single frames; at the end the reason why the rest holds none, and True."""
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        words = lines[start].split()
        if not words:
            start += 1
            continue
        if len(words) != 1 or not words[0].isascii() or not words[0].isdecimal():
            yield f"not extended XYZ: line {start + 1} is no number of atoms", True
            return
        end = start + 2 + int(words[0][:12])
        if end > len(lines):
            yield "not a whole file of extended XYZ: it ends within a frame", True
            return
        yield "\n".join(lines[start:end]) + "\n", False
        start = end


def _row(frame: str) -> Row:
    from ase.io.extxyz import read_xyz

    try:
        # ASE puts all atoms at the origin where a file gives no positions
        if (columns := _COLUMNS.search(frame)) is not None and not _POSITIONS.search(columns[0]):
            return Row("", reason="its Properties have no positions (pos:R:3)")
        # ASE takes one step for each number that an atom is said to have
        if columns is not None and any(int(n[:12]) > _MOST_NUMBERS for n in _COUNT.findall(columns[0])):
            return Row("", reason=f"its Properties have more than {_MOST_NUMBERS} numbers an atom")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (atoms,) = read_xyz(StringIO(frame), index=slice(None))
        name, cell = own_name(atoms.info), atoms.cell.array
        with np.errstate(all="ignore"):
            volume = atoms.cell.volume
        if not np.isfinite(cell).all() or not volume > 0.0:
            return Row(name, reason="no cell with a volume; only periodic crystals can be used")
        if (symbol := _molecule(atoms, frame)) is not None:
            return Row(name, reason=f"{symbol!r} is no element")
        points = atoms.cell.scaled_positions(atoms.positions)
        return Row(name, cell, atoms.numbers, points, columns=own_labels(atoms.info))
    except Exception as error:  # ASE's readers raise all kinds of errors
        return Row("", reason=f"not extended XYZ ({type(error).__name__}: {error})")


def _molecule(atoms: Any, frame: str) -> str | None:
    """A name of two capital letters that are elements each, such as CO, which ASE takes for cobalt."""
    pairs = {symbol.upper() for symbol in atoms.get_chemical_symbols() if len(symbol) == 2}
    pairs = {pair for pair in pairs if set(pair) <= set(ATOMIC_NUMBERS)}
    words = {word for line in frame.splitlines()[2:] for word in line.split()} if pairs else set()
    return min(pairs & words, default=None)
