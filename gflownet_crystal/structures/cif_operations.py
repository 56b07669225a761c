"""Symmetry operations of CIFs: triplets to arrays, closed groups and their types, and how well a cell fits them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import gemmi
import numpy as np
import spglib
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_text import quoted

_DENOMINATOR = gemmi.Op.DEN
_MOST = 768
_TRIPLET = re.compile(r"[xyz0-9+\-*/.,]+")
_DECIMAL = re.compile(r"\d*\.\d+|\d+\.")
_ROUNDED = 0.004
_LARGEST_ENTRY = 3
IDENTITY = "x,y,z"


@dataclass(frozen=True, eq=False)
class SymmetryGroup:
    """Operations of a space group in one setting; coordinates x become ``rotation @ x + translation``.

    Attributes:
        name: name in errors and notes.
        number: ITA number of its type.
        rotations: (m, 3, 3) int64.
        translations: (m, 3) float64, in [0, 1).
        triplets: the operations as texts.
    """

    name: str
    number: int
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    triplets: frozenset[str]

    def __len__(self) -> int:
        return len(self.rotations)

    def misfit(self, cell: NDArray[np.float64]) -> float:
        """Largest change of the cell's metric by an operation, in parts of the lengths.

        Args:
            cell: (3, 3) rows, Å.
        """
        metric = cell @ cell.T
        scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
        changed = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        return float(np.abs((changed - metric) / scale).max())


def group_of(operations: Iterable[gemmi.Op], name: str = "") -> SymmetryGroup:
    """The group that operations form.

    Args:
        operations: all of them, in any order.
        name: name of the group; its usual symbol if not given.

    Raises:
        DataError: they are not a closed group of a known type.
    """
    wrapped = dict.fromkeys(operation.wrap().triplet() for operation in operations)
    group = _group_of_triplets(tuple(wrapped))
    return SymmetryGroup(
        name or group.name, group.number, group.rotations, group.translations, group.triplets
    )


@lru_cache(maxsize=2000)
def _group_of_triplets(triplets: tuple[str, ...]) -> SymmetryGroup:
    operations = [gemmi.Op(triplet) for triplet in triplets]
    if len(operations) > _MOST:
        raise DataError(
            f"{len(operations)} symmetry operations; no group in a usual cell has more than {_MOST}"
        )
    rotations = np.array([operation.rot for operation in operations], dtype=np.int64)
    shifts = np.array([operation.tran for operation in operations], dtype=np.int64)
    if (rotations % _DENOMINATOR).any():
        raise DataError("a symmetry operation has a rotation part that is not of whole numbers")
    rotations //= _DENOMINATOR
    _check_closed(rotations, shifts, triplets)
    translations = shifts / _DENOMINATOR
    found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operations))
    if found is not None:
        return SymmetryGroup(found.xhm(), found.number, rotations, translations, frozenset(triplets))
    type_ = spglib.get_spacegroup_type_from_symmetry(rotations, translations)
    if type_ is None:
        raise DataError("the symmetry operations are of no known space group")
    name = f"{type_.international_short.replace('_', '')} in an unusual setting"
    return SymmetryGroup(name, type_.number, rotations, translations, frozenset(triplets))


def _check_closed(rotations: NDArray[np.int64], shifts: NDArray[np.int64], triplets: Sequence[str]) -> None:
    """Refuse operations without the identity, or a product of which is not among them."""
    if IDENTITY not in triplets:
        raise DataError("the symmetry operations lack the identity x,y,z; give all operations")
    if np.abs(rotations).max() > _LARGEST_ENTRY or (np.abs(np.round(np.linalg.det(rotations))) != 1).any():
        raise DataError("the symmetry operations are of no space group in this cell")
    products = np.einsum("aij,bjk->abik", rotations, rotations)
    moved = (np.einsum("aij,bj->abi", rotations, shifts) + shifts[:, None]) % _DENOMINATOR
    known = set(_codes(rotations, shifts).tolist())
    missing = [code for code in np.unique(_codes(products, moved)).tolist() if code not in known]
    if missing:
        raise DataError(
            f"the {len(triplets)} symmetry operations form no group: products of them are missing; give all operations"
        )


def _codes(rotations: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each operation; entries that none of the group's may have count as one above the largest."""
    limit = _LARGEST_ENTRY + 1
    entries = np.clip(rotations.reshape(*rotations.shape[:-2], 9), -limit, limit) + limit
    parts = np.concatenate([entries, shifts], axis=-1)
    bases = np.array([2 * limit + 1] * 9 + [_DENOMINATOR] * 3, dtype=np.int64)
    weights = np.concatenate([[1], np.cumprod(bases[:-1])])
    return parts @ weights


def operation_of(text: str) -> gemmi.Op:
    """Parse the triplet of a symmetry operation.

    Args:
        text: operation such as ``1/2-X, y+.5, z``, or with a time reversal behind it as in ``x,y,z,-1``.

    Raises:
        DataError: the text is no operation, or has a shift that is not a whole number of 24ths.
    """
    triplet = "".join(text.lower().split()).strip("'\"")
    parts = triplet.split(",")
    if len(parts) == 4 and parts[3] in ("1", "+1", "-1"):
        triplet = ",".join(parts[:3])
    try:
        if not _TRIPLET.fullmatch(triplet):
            raise ValueError("letters other than x, y and z")
        operation = gemmi.Op(_DECIMAL.sub(_fraction, triplet))
        if abs(operation.det_rot()) != _DENOMINATOR**3:
            raise ValueError("it changes volumes")
        return operation
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{quoted(text)} is no symmetry operation that can be read ({error})") from error


def _fraction(decimal: re.Match[str]) -> str:
    value = float(decimal.group())
    whole = Fraction(round(value * _DENOMINATOR), _DENOMINATOR)
    if abs(whole - value) > _ROUNDED:
        raise ValueError(f"a shift of {decimal.group()} is no multiple of 1/24")
    return f"{whole.numerator}/{whole.denominator}" if whole.denominator > 1 else str(whole.numerator)
