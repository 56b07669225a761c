"""Crystals of CIF texts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError


@dataclass(frozen=True)
class CifCrystal:
    """The one crystal of a CIF, with all atoms of its cell.

    Attributes:
        cell: (3, 3) float64, lattice vectors as rows, A.
        atomic_numbers: (n,) int64.
        frac_coords: (n, 3) float64, fractional coordinates in [0, 1).
        space_group: ITA number of the operations that were used; 0 if the file names none.
        notes: remarks on the reading, one text each; empty where nothing is to be said.
    """

    cell: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]
    frac_coords: NDArray[np.float64]
    space_group: int
    notes: tuple[str, ...] = ()


def read_cif(content: str | bytes, origin: str, formula_check: str = "refuse") -> CifCrystal:
    """Read the one crystal of a CIF.

    Args:
        content: text of the CIF, or the bytes of its file in UTF-8, UTF-16 or Latin-1.
        origin: name of the source in errors.
        formula_check: ``refuse`` crystals that differ from the file's own formula, or ``warn`` of them in the notes.

    Raises:
        DataError: the file does not say which crystal it holds, or holds none or several; one line.
    """
    from pymatgen.io.cif import CifParser

    text = content.decode("utf-8", errors="replace") if isinstance(content, bytes) else content
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structures = CifParser.from_str(text).parse_structures(primitive=False)
    except Exception as error:
        raise DataError(f"{origin}: not a CIF of a crystal ({' '.join(str(error).split())})") from error
    if len(structures) != 1:
        raise DataError(f"{origin}: {len(structures)} crystals in one CIF; give each a CIF of its own")
    structure = structures[0]
    return CifCrystal(
        np.array(structure.lattice.matrix),
        np.array(structure.atomic_numbers, dtype=np.int64),
        np.array(structure.frac_coords) % 1.0,
        0,
    )
