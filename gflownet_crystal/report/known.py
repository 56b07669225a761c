"""Which known crystal is nearest to a candidate: the one that its atoms match, or else the nearest by its spec."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from gflownet_crystal.common.run_schema import SPACE_GROUP, VOLUME
from gflownet_crystal.crystallography.space_groups import first_hand_of_group
from gflownet_crystal.evaluation.matching import Pair, Tolerances, rms_distances
from gflownet_crystal.evaluation.parallel import Crystal, Work, to_crystals
from gflownet_crystal.report.population import Population
from gflownet_crystal.structures.frames import frame_to_structures

MOST_COMPARED = 32
"""Known crystals that the atoms of one candidate are compared to; formulas such as that of silica have hundreds."""

_ATOMS = "frac_coords"
_SAME = 1e-9
_ROWS_AT_A_TIME = 16


def nearest_known(
    candidates: Population, known: Population, crystals: Sequence[Crystal | None] = ()
) -> pd.DataFrame:
    """The nearest known crystal of each candidate.

    It is the one that the candidate's atoms match best, by pymatgen's ``StructureMatcher`` at the tolerances of the
    match rate. They are compared to at most :data:`MOST_COMPARED` crystals of the same reduced formula, those of the
    candidate's space group first, then those whose volume per atom is nearest.

    Where none matches, or there are no atoms to compare, the nearest is found by composition, then by group, then by
    volume. The distance of two compositions is the share of atoms that would have to change their element, from 0 for
    the same reduced formula to 1 for no common element. Among the nearest, one of the candidate's space group goes
    first, then the one whose volume per atom is nearest.

    Args:
        candidates: n crystals.
        known: known crystals, at least one, with ``material_id`` where they have names, and with ``lattice``,
            ``atomic_numbers`` and ``frac_coords`` where they have atoms.
        crystals: the atoms of each candidate, None where there are none; empty if none has any.

    Returns:
        n rows: row (position in ``known``), distance, same_group (bool), n_compared (crystals that the atoms were
        compared to), rms (root mean square distance of the matched sites in units of (volume/atom)^(1/3), NaN where
        no crystal matches).
    """
    orders = list(_in_order(candidates, known))
    atoms = crystals or [None] * len(candidates)
    compared = _compare([near for near, _ in orders], atoms, known, [distance for _, distance in orders])
    group, known_group = (_groups(population) for population in (candidates, known))
    found = []
    for index, ((near, distance), rms) in enumerate(zip(orders, compared, strict=True)):
        matched = min(rms, key=lambda row: rms[row], default=None)
        is_match = matched is not None and np.isfinite(rms[matched])
        best = matched if is_match and matched is not None else int(near[0])
        same_group = bool(known_group[best] == group[index])
        found.append((best, distance, same_group, len(rms), rms[best] if is_match else np.nan))
    return pd.DataFrame(found, columns=["row", "distance", "same_group", "n_compared", "rms"])


def _groups(population: Population) -> NDArray[np.int64]:
    """Space groups, the first of each two mirror images."""
    hands: NDArray[np.int64] = first_hand_of_group[population.frame[SPACE_GROUP].to_numpy(dtype=np.int64)]
    return hands


def _in_order(candidates: Population, known: Population) -> Iterable[tuple[NDArray[np.int64], float]]:
    """Of each candidate the crystals of the nearest composition, nearest first, and its distance."""
    mine, theirs = fractions(candidates.composition), fractions(known.composition)
    group, known_group = (_groups(population) for population in (candidates, known))
    volume, known_volume = (np.log(p.frame[VOLUME].to_numpy(dtype=np.float64)) for p in (candidates, known))
    for start in range(0, len(candidates), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        distances = cdist(mine[rows], theirs, "cityblock") / 2
        for row, distance in enumerate(distances, start=start):
            near = np.flatnonzero(distance <= distance.min() + _SAME)
            other = known_group[near] != group[row]
            apart = np.nan_to_num(np.abs(known_volume[near] - volume[row]), nan=np.inf)
            order = near[np.lexsort((apart, other))]
            yield order, float(distance[order[0]])


def _compare(
    orders: Sequence[NDArray[np.int64]],
    crystals: Sequence[Crystal | None],
    known: Population,
    distances: Sequence[float],
) -> list[dict[int, float]]:
    """Of each candidate the distances of matched sites to the crystals it was compared to, infinite without a match."""
    result: list[dict[int, float]] = [{} for _ in orders]
    if _ATOMS not in known.frame.columns:
        return result
    has_atoms = known.frame[_ATOMS].notna().to_numpy()
    places, pairs = [], []
    for index, (order, crystal, distance) in enumerate(zip(orders, crystals, distances, strict=True)):
        rows = order[has_atoms[order]][:MOST_COMPARED]
        if crystal is None or distance > _SAME or not len(rows):
            continue
        others = to_crystals(frame_to_structures(known.frame.iloc[rows]))
        places += [(index, int(row)) for row in rows]
        pairs += [Pair(crystal, other) for other in others]
    rms, _ = rms_distances(pairs, Tolerances(), Work())
    for (index, row), value in zip(places, rms.nan_to_num(nan=np.inf).tolist(), strict=True):
        result[index][row] = value
    return result


def fractions(composition: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares of the elements in each crystal, (n, 119), rows summing to one."""
    shares: NDArray[np.float64] = composition / composition.sum(axis=1, keepdims=True)
    return shares
