"""One crystal: its atoms, its properties, and a cell that turns in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gflownet_crystal.api.display import group_name
from gflownet_crystal.common.run_schema import ENERGY_COLUMN, HULL_COLUMN, SPACE_GROUP
from gflownet_crystal.report.cell_view import cell_view
from gflownet_crystal.structures.convert import to_ase, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    import ase
    from pymatgen.core.structure import Structure

    from gflownet_crystal.api.crystals import Crystals


class Crystal:
    """One crystal of a set: ``crystals[0]``. In a notebook it shows as a cell that turns and zooms.

    Args:
        crystals: set of this crystal alone.

    Example:
        >>> crystal = crystals[0]
        >>> crystal.formula, crystal.space_group
        ('Li2O', 225)
        >>> crystal.save("li2o.cif")
    """

    def __init__(self, crystals: Crystals) -> None:
        self._crystals = crystals
        self._values: dict[str, Any] = crystals.to_frame().iloc[0].to_dict()

    @property
    def name(self) -> str:
        """Name in the set."""
        return str(self._values["name"])

    @property
    def formula(self) -> str:
        """Reduced formula, such as ``Li2O``."""
        return self.structure.specs().reduced_formulas()[0]

    @property
    def space_group(self) -> int:
        """ITA number of the space group; 0 where none is known."""
        return int(self._values[SPACE_GROUP])

    @property
    def values(self) -> Mapping[str, Any]:
        """The row of the set's table, by column."""
        return dict(self._values)

    @property
    def structure(self) -> StructureBatch:
        """Cell and atoms as tensors: a batch of one."""
        return self._crystals.structures

    def to_pymatgen(self) -> Structure:
        """The crystal as a pymatgen structure."""
        return to_pymatgen(self.structure)[0]

    def to_ase(self) -> ase.Atoms:
        """The crystal as a periodic ASE object."""
        return to_ase(self.structure)[0]

    def to_cif(self) -> str:
        """The text of a CIF, in the ITA setting of its group."""
        return self._crystals.to_cif()[0]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the crystal; see :meth:`gflownet_crystal.Crystals.save`."""
        return self._crystals.save(path, overwrite=overwrite)

    def __repr__(self) -> str:
        """Formula, space group, cell and energies, a line each."""
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        facts = "".join(f"<div>{line}</div>" for line in self._lines())
        return f"{cell_view(self.structure, self.formula)}<div>{facts}</div>"

    def _lines(self) -> list[str]:
        row = self._values
        group = group_name(self.space_group) or "space group not known"
        lengths = ", ".join(f"{row[key]:.3f}" for key in "abc")
        angles = ", ".join(f"{row[key]:.2f}" for key in ("alpha", "beta", "gamma"))
        lines = [
            f"{self.formula}, {group}, {row['n_atoms']} atoms in the cell",
            f"a, b, c: {lengths} Å; alpha, beta, gamma: {angles}°; {row['volume_per_atom']:.2f} Å³/atom",
        ]
        energies = {ENERGY_COLUMN: "formation energy", HULL_COLUMN: "energy above hull"}
        lines += [
            f"{words}: {row[key]:.3f} eV/atom" for key, words in energies.items() if pd.notna(row.get(key))
        ]
        return lines
