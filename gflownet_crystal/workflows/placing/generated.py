"""Files of generated structures: a table in the package's schema, one of the specs left out, and other formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.common.run_schema import ENERGY_COLUMN, STRUCTURES, UNPLACED
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS
from gflownet_crystal.structures.writing import write_structures

COLUMNS = (
    "material_id", "row", "try", "formula", "n_atoms", "space_group", "lattice", "atomic_numbers", "frac_coords",
    ENERGY_COLUMN, "distance_ratio",
)  # fmt: skip
"""Columns of the table: the spec's row, the try, energies in eV/atom where a judge was given, and the smallest distance
over summed covalent radii."""


def write_generated(
    folder: Path, made: pd.DataFrame, specs: pd.DataFrame, formats: Sequence[str], own: Sequence[str] = ()
) -> str:
    """Write the generated structures, and the specs that were left out.

    Args:
        folder: folder for the files.
        made: structures with the columns of the table.
        specs: all specs; ``row`` of ``made`` is their index.
        formats: file formats of structures beside the table, see :mod:`gflownet_crystal.structures.writing`.
        own: further columns of the table.

    Returns:
        A summary in a few words.
    """
    table = made[[*COLUMNS, *own]]
    write_parquet(folder / STRUCTURES, table)
    left_out = specs[~specs.index.isin(made["row"])]
    with atomic_path(folder / UNPLACED) as temporary:
        left_out[list(REQUIRED_COLUMNS)].rename_axis("row").to_csv(temporary)
    if len(made):
        write_structures(folder, frame_to_structures(made), table, formats)
    placed = made["row"].nunique()
    parts = [f"{len(made)} structures of {placed} specs in {folder}"]
    if len(left_out):
        parts.append(f"{len(left_out)} specs could not be placed, see {UNPLACED}")
    return "; ".join(parts)
