"""Strained copies of labelled crystals, from which a network on atoms learns the cost of a wrong cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.schema import ENERGY_COLUMN, STRAIN_COLUMNS, require_columns

TRUSTED_ENERGIES = (-0.3, 4.0)
"""eV/atom against the true cell; below or above, the potential that gave them is out of its depth."""

SOURCE_SUFFIX = "_strained"
"""Suffix of the ``energy_source`` of a strained copy."""


def strained_copies(
    table: pd.DataFrame, strains: pd.DataFrame, per_crystal: float, seed: int = 0, origin: Path | str = ""
) -> pd.DataFrame:
    """Crystals in strained cells, labelled with the crystal's energy plus the strain's.

    Args:
        table: the crystals, in the package's schema, with energies.
        strains: columns ``STRAIN_COLUMNS``: cells and their energies against the true one, eV/atom.
        per_crystal: average number of copies per crystal that has some, chosen at random.
        seed: random seed of the choice.
        origin: origin of the strains, for error messages.

    Returns:
        Rows in the schema of ``table``; their atoms keep their fractional coordinates, and none is part of a split.

    Raises:
        DataError: a column is missing, or the strains are of other crystals.
    """
    require_columns(strains, STRAIN_COLUMNS, origin)
    parents = table.drop_duplicates("material_id").set_index("material_id", drop=False)
    low, high = TRUSTED_ENERGIES
    known = strains["material_id"].isin(parents.index)
    if not known.any():
        raise DataError(
            f"{origin} strains none of the crystals given: name the file of its structures as well"
        )
    chosen = strains[
        known & (strains["strain"] != "reference") & strains["delta_energy_per_atom"].between(low, high)
    ]
    n = min(len(chosen), round(per_crystal * chosen["material_id"].nunique()))
    chosen = chosen.iloc[np.sort(np.random.default_rng(seed).permutation(len(chosen))[:n])]
    copies = parents.loc[chosen["material_id"]].reset_index(drop=True)
    source = copies.get("energy_source", pd.Series("", index=copies.index)).fillna("").astype(str)
    return copies.assign(
        lattice=chosen["lattice"].to_numpy(),
        energy_source=source + SOURCE_SUFFIX,
        mp20_split="none",
        **{ENERGY_COLUMN: copies[ENERGY_COLUMN].to_numpy() + chosen["delta_energy_per_atom"].to_numpy()},
    )
