"""Candidates' structures for the page: atoms and bonds of the 3-D view, and least distances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_reading import read_cif
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.distances import PeriodicLattice, shortest_distance_ratio
from gflownet_crystal.structures.elements import COVALENT_RADII, ELECTRONEGATIVITY, SYMBOLS
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups

# candidates are read to be judged, their distances too
_CLOSEST = 1e-3
_IONIC = 1.0
# where Jmol's colours are all the same green
_COLOURS = {"F": "#7fd3e6", "Ca": "#4f86c6", "Mg": "#e08b4a", "Ni": "#2f7d6b"}


@dataclass(frozen=True)
class Cell:
    """A candidate with its atoms.

    Attributes:
        cif: the file's text.
        structure: one structure.
        shortest: distance of the nearest two atoms, periodic images included, Å.
        ratio: the least distance of two atoms over the sum of their covalent radii.
        space_group: found by moyo at 0.05 Å; 0 if none is found.
    """

    cif: str
    structure: StructureBatch
    shortest: float
    ratio: float
    space_group: int

    @classmethod
    def read(cls, path: Path) -> Cell | None:
        """The crystal of a CIF, None if the file is missing or holds none."""
        try:
            text = path.read_text(encoding="utf-8")
            crystal = read_cif(text, str(path), closest=_CLOSEST)
        except (OSError, UnicodeDecodeError, DataError):
            return None
        structure = from_arrays([crystal.cell], [crystal.atomic_numbers], [crystal.frac_coords])
        lattice = PeriodicLattice.of(structure.cell[0])
        points = structure.fractional
        distances = lattice.distances(points[:, None] - points).fill_diagonal_(lattice.shortest)
        ratio = shortest_distance_ratio(structure).item()
        return cls(
            text, structure, distances.min().item(), ratio, int(find_space_groups(structure)[0].item())
        )

    def drawing(self) -> dict[str, Any]:
        """See :func:`drawing_of`."""
        return drawing_of(self.structure)


def drawing_of(structure: StructureBatch) -> dict[str, Any]:
    """Cell (lattice vectors as rows, Å), elements, fractional coordinates, and which elements are cations.

    Two cations of an ionic crystal are not drawn as bonded, however large their covalent radii.

    Args:
        structure: one structure.
    """
    numbers = structure.atomic_numbers.numpy()
    species, index = np.unique(numbers, return_inverse=True)
    strength = np.nan_to_num(ELECTRONEGATIVITY[numbers], nan=2.0)
    ionic = strength.max() - strength.min() > _IONIC
    cations = [
        SYMBOLS[number]
        for number in species
        if ionic and np.nan_to_num(ELECTRONEGATIVITY[number], nan=2.0) < strength.mean()
    ]
    points = np.mod(np.round(structure.fractional.numpy(), 5), 1.0)
    return {
        "cell": np.round(structure.cell[0].numpy(), 5).tolist(),
        "elements": [SYMBOLS[number] for number in species],
        "atoms": index.tolist(),
        "points": points.tolist(),
        "cations": cations,
    }


def element_styles(symbols: set[str]) -> dict[str, dict[str, Any]]:
    """Colour (of Jmol, but for a few) and covalent radius (Å) of elements, by symbol."""
    from ase.data.colors import jmol_colors

    styles = {}
    for number, symbol in enumerate(SYMBOLS):
        if symbol in symbols:
            red, green, blue = (
                round(255 * float(part)) for part in jmol_colors[min(number, len(jmol_colors) - 1)]
            )
            styles[symbol] = {
                "colour": _COLOURS.get(symbol, f"#{red:02x}{green:02x}{blue:02x}"),
                "radius": float(COVALENT_RADII[number]),
            }
    return styles
