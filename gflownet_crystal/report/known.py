"""Which known crystal is nearest to a candidate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from gflownet_crystal.report.population import Population

_SAME = 1e-9
_ROWS_AT_A_TIME = 16


def nearest_known(candidates: Population, known: Population) -> pd.DataFrame:
    """The nearest known crystal of each candidate: by composition, then by group, then by volume.

    The distance of two compositions is the share of atoms that would have to change their element, from 0 for the
    same reduced formula to 1 for no common element. Among the nearest, one of the candidate's space group goes first,
    then the one whose volume per atom is nearest.

    Args:
        candidates: n crystals.
        known: at least one, with ``material_id`` where they have names.

    Returns:
        n rows: row (position in ``known``), distance, same_group (bool).
    """
    mine, theirs = fractions(candidates.composition), fractions(known.composition)
    group, known_group = (p.frame["space_group"].to_numpy(dtype=np.int64) for p in (candidates, known))
    volume, known_volume = (
        np.log(p.frame["volume_per_atom"].to_numpy(dtype=np.float64)) for p in (candidates, known)
    )
    found = []
    for start in range(0, len(candidates), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        distances = cdist(mine[rows], theirs, "cityblock") / 2
        for row, distance in enumerate(distances, start=start):
            near = np.flatnonzero(distance <= distance.min() + _SAME)
            other = known_group[near] != group[row]
            apart = np.nan_to_num(np.abs(known_volume[near] - volume[row]), nan=np.inf)
            best = near[np.lexsort((apart, other))[0]]
            found.append((best, float(distance[best]), bool(known_group[best] == group[row])))
    return pd.DataFrame(found, columns=["row", "distance", "same_group"])


def fractions(composition: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares of the elements in each crystal, (n, 119), rows summing to one."""
    shares: NDArray[np.float64] = composition / composition.sum(axis=1, keepdims=True)
    return shares
