"""Tables of specs among the sources of crystals: space group, formula and cell, and labels of the user's own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gflownet_crystal.data.schema import PREPARED_COLUMNS
from gflownet_crystal.data.sources import SourceFile
from gflownet_crystal.data.tables import named
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS


def is_specs(frame: pd.DataFrame) -> bool:
    """Whether a table holds specs and not structures: space group, formula and cell of each row in columns."""
    return set(REQUIRED_COLUMNS) <= set(frame.columns) and "frac_coords" not in frame.columns


def specs_to_prepared(frame: pd.DataFrame, file: SourceFile) -> pd.DataFrame:
    """A table of specs with all columns of a prepared table; columns that it lacks are empty.

    Args:
        frame: table with the columns of a spec file.
        file: file of the table, whose name is given to rows without a name.
    """
    empty = {"energy_source": "unknown", "strain": ""}
    missing = [name for name in PREPARED_COLUMNS if name not in frame.columns and name != "material_id"]
    return named(frame, file).assign(**{name: empty.get(name, np.nan) for name in missing})
