"""Crystals of prepared tables with their atoms."""

from __future__ import annotations

import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import SPACE_GROUP
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.schema import ENERGY_COLUMN, PROVENANCE_COLUMNS, STRUCTURE_COLUMNS
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import SYMPREC, conventional_structures

_VALUES = ("material_id", SPACE_GROUP, ENERGY_COLUMN, "energy_source", *PROVENANCE_COLUMNS)


def prepared_structures(
    table: pd.DataFrame, left_out: LeftOut, symprec: float = SYMPREC
) -> tuple[StructureBatch, pd.DataFrame]:
    """Conventional cells with atoms, symmetrised in the ITA setting of their group, and the values of their rows.

    Args:
        table: table of :func:`gflownet_crystal.data.prepare.load_prepared` with ``atoms``.
        left_out: takes the names of rows without atoms, and of strained cells.
        symprec: distance tolerance with which the table was prepared, Å.

    Returns:
        n structures, and n rows of names, labels and where they come from.

    Raises:
        DataError: no row has atoms.
    """
    stored = table.reindex(columns=list(STRUCTURE_COLUMNS[1:])).notna().all(axis=1).to_numpy(dtype=bool)
    true_cell = (table["strain"] == "").to_numpy(dtype=bool)
    reasons = [
        "" if cell and atoms else "a spec without atoms" if cell else "a strained cell"
        for atoms, cell in zip(stored, true_cell, strict=True)
    ]
    chosen = table[stored & true_cell].reset_index(drop=True)
    if chosen.empty:
        raise DataError(
            f"none of {len(table)} rows has atoms, only specs: let out end in .parquet, or give crystals as source"
        )
    left_out.add_rows(table["material_id"], reasons)
    structures = conventional_structures(frame_to_structures(chosen[list(STRUCTURE_COLUMNS[1:])]), symprec)
    return structures, chosen[[name for name in _VALUES if name in chosen.columns]]
