"""Columns of the tables that this package reads and writes, and the checks that name missing ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import ENERGY_COLUMN as ENERGY_COLUMN
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.common.run_schema import HULL_COLUMN as HULL_COLUMN
from gflownet_crystal.common.run_schema import JUDGED_HULL as JUDGED_HULL

LATTICE_COLUMNS = ("a", "b", "c", "alpha", "beta", "gamma")
"""Conventional cell: lengths in Å, angles in degrees; empty where a row has no structure."""

LABEL_COLUMNS = (ENERGY_COLUMN, "band_gap", HULL_COLUMN, "delta_energy_per_atom")
"""Columns whose values are finite numbers or empty."""

STRUCTURE_COLUMNS = ("material_id", "lattice", "atomic_numbers", "frac_coords")
"""Columns that make a row a structure: ``lattice`` [a b c Å, alpha beta gamma degrees], flat fractional coordinates."""

STRAIN_COLUMNS = ("material_id", "strain", "lattice", "delta_energy_per_atom")
"""Columns of a strained-energies file: the strained stored cell and its energy against the reference, eV/atom."""

PREPARED_COLUMNS = (
    "material_id",
    SPACE_GROUP,
    FORMULA,
    *LATTICE_COLUMNS,
    ENERGY_COLUMN,
    "energy_source",
    "strain",
)
"""Columns of a prepared table; ``formula`` counts the conventional cell, ``strain`` is empty for the true cell."""

PROVENANCE_COLUMNS = ("structure_source", "band_gap", HULL_COLUMN, "mp20_split")
"""Carried along where the source has them."""


SAMPLED = "sampled"
"""``structure_source`` of specs that a sampler made: their energy is that of the best atoms found for their cell,
which need not be the crystal's own."""

SUBSTITUTED = "substituted"
"""``structure_source`` of crystals that were made by exchanging elements of known ones."""


def require_columns(frame: pd.DataFrame, columns: Iterable[str], origin: Path | str) -> None:
    """Raise unless ``frame`` has all ``columns`` and at least one row.

    Raises:
        DataError: naming ``origin`` and the columns it lacks.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError(
            f"{origin} lacks the columns {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}"
        )
    if frame.empty:
        raise DataError(f"{origin} has no rows; give a file with data")
