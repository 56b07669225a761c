"""Tables of structures in the package's schema, as trainings of energy models and generators read them."""

from __future__ import annotations

import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.data.schema import LABEL_COLUMNS, PROVENANCE_COLUMNS, STRUCTURE_COLUMNS
from gflownet_crystal.structures.formulas import composition_to_text
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.symmetry import find_space_groups

_ARRAYS = STRUCTURE_COLUMNS[1:]


def structure_table(frame: pd.DataFrame, *own: str) -> pd.DataFrame:
    """Table of structures with their formulas, sizes and space groups.

    Args:
        frame: n rows of :func:`gflownet_crystal.data.readers.readable`, all of them structures.
        own: further columns to keep.

    Returns:
        Columns material_id, formula (of the stored cell), n_atoms, space_group (by moyo at 0.05 Å; 0 where the search
        fails), lattice, atomic_numbers, frac_coords, and those of labels and their sources that the frame has.

    Raises:
        DataError: a row has no structure.
    """
    if not set(_ARRAYS) <= set(frame.columns) or frame[list(_ARRAYS)].isna().any(axis=None):
        raise DataError("a row has no structure; give crystals with lattices and positions")
    structures = frame_to_structures(frame)
    labels = (*LABEL_COLUMNS, "energy_source", *PROVENANCE_COLUMNS, *own)
    kept = [name for name in dict.fromkeys(labels) if name in frame.columns]
    return pd.DataFrame(
        {
            "material_id": frame["material_id"].astype(str),
            FORMULA: composition_to_text(structures.composition, separator="", write_one=False),
            "n_atoms": structures.n_atoms.numpy(),
            SPACE_GROUP: find_space_groups(structures).numpy(),
            **{name: list(frame[name]) for name in _ARRAYS},
            **{name: frame[name] for name in kept},
        }
    )
