"""Accuracy of models on atoms placed in sampled cells: errors, bias, and selection near the hull."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.proxies.hull import NEAR_HULL

HIGHEST = 2.0
"""eV/atom above the hull; energies above it count as it, in training and in figures, as atoms so bad say little more.
"""


def capped(
    energy: NDArray[np.float64], hull: NDArray[np.float64], highest: float = HIGHEST
) -> NDArray[np.float64]:
    """Energies (n,) of which none lies higher above the hull than ``highest``, eV/atom."""
    return np.asarray(np.minimum(energy, hull + highest))


def placed_figures(
    predicted: NDArray[np.float64],
    label: NDArray[np.float64],
    hull: NDArray[np.float64],
    highest: float = HIGHEST,
    std: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Agreement of predicted formation energies with labels of the same crystals.

    Args:
        predicted: (n,) eV/atom, n at least 1.
        label: (n,) eV/atom.
        hull: (n,) energies of the hull at their compositions, eV/atom.
        highest: eV/atom above the hull; predictions and labels above it count as it.
        std: (n,) standard deviations of the predictions, eV/atom, where they are known.

    Returns:
        n; mae, median_error (absolute) and bias (predicted minus label), eV/atom; spearman_above_hull, the rank
        correlation of the distances to the hull; the shares predicted and labelled within 0.1 eV/atom of the hull,
        predicted within 0.05, and of those the share labelled within 0.1; with ``std``, the share of labels within
        two standard deviations. None stands for undefined figures.
    """
    predicted, label = capped(predicted, hull, highest), capped(label, hull, highest)
    error, said, true = predicted - label, predicted - hull, label - hull
    promising = said <= NEAR_HULL / 2
    figures: dict[str, Any] = {
        "n": len(label),
        "mae": _rounded(np.abs(error).mean()),
        "median_error": _rounded(np.median(np.abs(error))),
        "bias": _rounded(error.mean()),
        "spearman_above_hull": _rank_correlation(said, true),
        "predicted_within_0.1": _rounded((said <= NEAR_HULL).mean()),
        "labelled_within_0.1": _rounded((true <= NEAR_HULL).mean()),
        "predicted_within_0.05": _rounded(promising.mean()),
        "labelled_within_0.1_of_those": (
            _rounded((true <= NEAR_HULL)[promising].mean()) if promising.any() else None
        ),
    }
    if std is not None:
        figures["within_2_std"] = _rounded((np.abs(error) <= 2 * std).mean())
    return figures


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    if len(first) < 2 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    from scipy.stats import spearmanr

    return _rounded(spearmanr(first, second).statistic)


def _rounded(value: Any) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
