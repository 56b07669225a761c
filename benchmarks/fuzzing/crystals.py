"""Crystals that cannot be, found without the package's own checks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pymatgen.core import Composition, Element, Lattice

from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch

NEAREST = 0.5
"""A; atoms nearer than this, or a lattice vector shorter, are no crystal."""

_FEW = 150
_STRUCTURE = {"lattice", "atomic_numbers", "frac_coords"}
_SPEC = {"space_group", "formula", "a", "b", "c", "alpha", "beta", "gamma"}


def impossible(read: Any, close_atoms: bool = False) -> list[str]:
    """Reasons why something that was accepted is no crystal.

    Args:
        read: a batch of structures or specs, a table of either, or several of them; None is nothing.
        close_atoms: do not ask for distances.
    """
    try:
        return _reasons(read, close_atoms)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        return [f"values that are no crystal's: {error}"]


def _reasons(read: Any, close_atoms: bool) -> list[str]:
    if isinstance(read, StructureBatch):
        return _of_batch(read, close_atoms)
    if isinstance(read, CrystalSpec):
        numbers = [read.space_group, read.lengths, read.angles]
        groups, lengths, angles = (np.asarray(tensor.cpu(), dtype=float) for tensor in numbers)
        rows = zip(groups, read.formulas(), lengths, angles, strict=True)
        return [reason for row in rows for reason in _of_spec(*row)]
    if isinstance(read, pd.DataFrame):
        return _of_frame(read, close_atoms)
    if isinstance(read, list | tuple):
        return [reason for part in read for reason in _reasons(part, close_atoms)]
    return []


def impossible_files(folder: Path, close_atoms: bool = False) -> list[str]:
    """The same of the tables that a command wrote into a folder."""
    found = []
    for path in sorted(folder.rglob("*.parquet")):
        frame = pd.read_parquet(path)
        found += [f"{path.relative_to(folder)}: {reason}" for reason in impossible(frame, close_atoms)]
    return found


def _of_batch(batch: StructureBatch, close_atoms: bool) -> list[str]:
    ends = np.cumsum(np.asarray(batch.n_atoms.cpu()))[:-1]
    numbers = np.split(np.asarray(batch.atomic_numbers.cpu()), ends)
    points = np.split(np.asarray(batch.fractional.detach().cpu(), dtype=float), ends)
    cells = np.asarray(batch.cell.detach().cpu(), dtype=float)
    rows = zip(cells, numbers, points, strict=True)
    return [reason for row in rows for reason in _of_structure(*row, close_atoms)]


def _of_frame(frame: pd.DataFrame, close_atoms: bool) -> list[str]:
    reasons: list[str] = []
    if set(frame.columns) >= _SPEC:
        named = frame[frame["a"].notna()]
        for row in named.to_dict("records"):
            lengths, angles = ([row[name] for name in names] for names in (("a", "b", "c"), _ANGLES))
            reasons += _of_spec(row["space_group"], row["formula"], lengths, angles)
    if set(frame.columns) >= _STRUCTURE:
        for row in frame[frame["lattice"].notna()].to_dict("records"):
            cell = Lattice.from_parameters(*np.asarray(row["lattice"], dtype=float)).matrix
            points = np.asarray(row["frac_coords"], dtype=float).reshape(-1, 3)
            reasons += _of_structure(cell, np.asarray(row["atomic_numbers"]), points, close_atoms)
    return reasons


_ANGLES = ("alpha", "beta", "gamma")


def _of_spec(group: float, formula: Any, lengths: Iterable[float], angles: Iterable[float]) -> list[str]:
    if not 1 <= float(group) <= 230 or float(group) % 1:
        return [f"space group {group}"]
    if not all(math.isfinite(value) for value in (*lengths, *angles)):
        return ["lattice parameters that are not finite"]
    if min(lengths) <= 0 or not 0 < min(angles) <= max(angles) < 180 or not _volume(lengths, angles) > 0:
        return [f"a cell of lengths {list(lengths)} and angles {list(angles)}"]
    counts = Composition(str(formula)).get_el_amt_dict()
    whole = all(count > 0 and count % 1 == 0 for count in counts.values())
    real = bool(counts) and all(map(Element.is_valid_symbol, counts))
    return [] if whole and real else [f"formula {formula!r}"]


def _volume(lengths: Iterable[float], angles: Iterable[float]) -> float:
    a, b, c = lengths
    alpha, beta, gamma = (math.cos(math.radians(angle)) for angle in angles)
    square = 1 - alpha**2 - beta**2 - gamma**2 + 2 * alpha * beta * gamma
    return float(a) * float(b) * float(c) * math.sqrt(square) if square > 0 else 0.0


def _of_structure(
    cell: NDArray[np.float64], numbers: NDArray[Any], points: NDArray[np.float64], close_atoms: bool
) -> list[str]:
    if not (np.isfinite(cell).all() and np.isfinite(points).all()):
        return ["a cell or coordinates that are not finite"]
    if not len(numbers) or len(numbers) != len(points):
        return [f"{len(numbers)} elements at {len(points)} positions"]
    if numbers.min() < 1 or numbers.max() > 118:
        return [f"atomic numbers {numbers.min()} to {numbers.max()}"]
    lengths = np.linalg.norm(cell, axis=1)
    with np.errstate(all="ignore"):
        volume = abs(np.linalg.det(cell))
    if not np.isfinite(volume) or volume <= 1e-6 * lengths.prod():
        return [f"a cell of {volume} Å^3"]
    if close_atoms or len(numbers) > _FEW:
        return []
    return _near(Lattice(cell), points)


def _near(lattice: Lattice, points: NDArray[np.float64]) -> list[str]:
    short = min(lattice.get_lll_reduced_lattice().abc)
    if short < NEAREST:
        return [f"a lattice vector of {short:.3g} Å"]
    distances = lattice.get_all_distances(points, points)
    np.fill_diagonal(distances, np.inf)
    return [f"atoms {distances.min():.3g} Å apart"] if distances.min() < NEAREST else []
