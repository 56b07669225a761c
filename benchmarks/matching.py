"""Shares of crystals that tries match, by pymatgen's StructureMatcher; a part of ``structure_prediction``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher

STOL = 0.5
"""Largest root mean square distance of a match, in units of the cube root of the volume of an atom."""


def distances(crystals: Sequence[Any], tries: Sequence[Sequence[Any]], processes: int) -> NDArray[np.float64]:
    """Distances of tries from their crystals.

    Args:
        crystals: n primitive structures.
        tries: as many of each; None for one that is missing.
        processes: to share the work among.

    Returns:
        (n, tries, 2): root mean square and largest distance, infinite where there is no match.
    """
    with get_context("spawn").Pool(processes) as pool:
        return np.array(pool.map(_match, list(zip(crystals, tries, strict=True)), chunksize=8))


def _match(pair: tuple[Any, Sequence[Any]]) -> list[tuple[float, float]]:
    warnings.simplefilter("ignore")
    matcher = StructureMatcher(stol=STOL, ltol=0.3, angle_tol=10)
    crystal, tries = pair
    found = [None if one is None else matcher.get_rms_dist(crystal, one) for one in tries]
    return [(np.inf, np.inf) if one is None else (float(one[0]), float(one[1])) for one in found]


def figures(
    distance: NDArray[np.float64],
    ratings: Mapping[str, NDArray[np.float64]],
    parts: Mapping[str, NDArray[np.bool_]],
) -> dict[str, Any]:
    """Shares of crystals that match, of all and of parts of them.

    Args:
        distance: (n, tries, 2), as :func:`distances` gives them.
        ratings: (n, tries) by name, the higher the better; a try is chosen by each.
        parts: (n,) masks by name.
    """
    hit = distance[:, :, 0] <= STOL
    chosen = {name: hit[np.arange(len(hit)), rating.argmax(1)] for name, rating in ratings.items()}
    first = distance[:, 0, 0][hit[:, 0]]

    def shares(mask: NDArray[np.bool_]) -> dict[str, float]:
        return {
            "n": int(mask.sum()),
            "first": float(hit[mask, 0].mean()),
            "mean_try": float(hit[mask].mean()),
            "best": float(hit[mask].any(1).mean()),
            **{name: float(found[mask].mean()) for name, found in chosen.items()},
        }

    return {
        **shares(np.ones(len(hit), dtype=bool)),
        "first_strict": float((distance[:, 0, 1] <= STOL).mean()),
        "rmse": float(first.mean()) if len(first) else None,
        "parts": {name: shares(mask) for name, mask in parts.items() if mask.any()},
    }
