"""How well models know fresh samples: errors against labels, and a table of all rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gflownet_crystal.proxies.hull import NEAR_HULL


def agreement(
    predicted: NDArray[np.float64], label: NDArray[np.float64], hull: NDArray[np.float64]
) -> dict[str, Any]:
    """How predictions of the formation energy agree with labels of the same crystals.

    Args:
        predicted: (n,) eV/atom, n at least 1.
        label: (n,) eV/atom.
        hull: (n,) energies of the hull at their compositions, eV/atom.

    Returns:
        n; mae, median_error (absolute) and bias (predicted minus label), eV/atom; spearman_above_hull, the rank
        correlation of the distances to the hull (None where it is not defined); the shares predicted and labelled
        within 0.1 eV/atom of the hull.
    """
    error = predicted - label
    return {
        "n": len(label),
        "mae": _rounded(np.abs(error).mean()),
        "median_error": _rounded(np.median(np.abs(error))),
        "bias": _rounded(error.mean()),
        "spearman_above_hull": _rank_correlation(predicted - hull, label - hull),
        "predicted_within_0.1": _rounded((predicted - hull <= NEAR_HULL).mean()),
        "labelled_within_0.1": _rounded((label - hull <= NEAR_HULL).mean()),
    }


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    if len(first) < 2 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    return _rounded(spearmanr(first, second).statistic)


def _rounded(value: Any) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


def rounds_table(rounds: Sequence[Mapping[str, Any]]) -> str:
    """A line a round, at most 80 columns wide: the spec proxy on held-out samples, before and after its training."""
    lines = [
        "                          near  MAE, eV/atom   bias, eV/atom      Spearman",
        "round samples  held placed hull  before  after   before   after  before after",
    ]
    for figures in rounds:
        samples, pair = figures["samples"], (figures["proxy"]["before"], figures["proxy"]["after"])
        errors = " ".join(f"{one['mae']:6.3f}" for one in pair)
        biases = " ".join(f"{one['bias']:+7.3f}" for one in pair)
        ranks = " ".join(_rank(one["spearman_above_hull"]) for one in pair)
        placed = samples["placed"] / samples["distinct"]
        lines.append(
            f"{figures['round']:5d} {samples['distinct']:7d} {pair[0]['n']:5d} {placed:6.2f} "
            f"{figures['labelled_within_0.1']:4.2f}  {errors}  {biases}   {ranks}"
        )
    return "\n".join(lines)


def _rank(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.2f}"
