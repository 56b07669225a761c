"""Figures of a training: its curves, the energies it samples beside an untrained sampler's, and its elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gflownet_crystal.common.bins import LARGEST_DRAWN, common_bins, drawable
from gflownet_crystal.common.files import atomic_path

_CURVES = (("loss", "loss"), ("log_z", "log Z"), ("mean_log_reward", "mean log R of the batch"))
_OF_A_PRIOR = (("kl_from_prior", "KL from the prior (nats)"),)


def training_curves(metrics: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss, log Z and mean log-reward by step, and with a prior the divergence from it.

    Values that are missing, or that no axis can show, above 1e30 in magnitude, are left out.

    Args:
        metrics: records of a metrics file, at least one.
        path: path of the figure, .png.
    """
    steps = drawable([record.get("step") for record in metrics])
    curves = _CURVES + tuple(curve for curve in _OF_A_PRIOR if metrics and curve[0] in metrics[-1])
    figure = Figure(figsize=(4 * len(curves), 3.5), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(1, len(curves)), curves, strict=True):
        values = drawable([record.get(key) for record in metrics])
        axes.plot(steps, values, linewidth=0.8)
        axes.set(xlabel="iteration", ylabel=label)
        # a loss may be zero throughout
        if key == "loss" and bool((values > 0).any()):
            axes.set_yscale("log")
    _save(figure, path)


def energy_distribution(
    trained: NDArray[np.float64], untrained: NDArray[np.float64], label: str, path: Path
) -> None:
    """Histograms of the property before and after training, over the range that holds 98 % of each.

    Args:
        trained: (n,) values of the trained sampler's objects.
        untrained: (m,) values of the untrained sampler's; not finite ones are left out.
        label: name and unit of the property.
        path: path of the figure, .png.
    """
    untrained = untrained[np.isfinite(untrained)]
    trained, untrained = (np.clip(one, -LARGEST_DRAWN, LARGEST_DRAWN) for one in (trained, untrained))
    bins = common_bins([trained, untrained], 60)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for values, name in ((untrained, "untrained"), (trained, "trained")):
        # every object counts: those beyond the range are in the outermost bins
        axes.hist(np.clip(values, bins[0], bins[-1]), bins=bins.tolist(), density=True, alpha=0.6, label=name)
    axes.set(xlabel=label, ylabel="density")
    axes.legend()
    _save(figure, path)


def element_prevalence(shares: Mapping[str, float], best: Mapping[str, float], path: Path) -> None:
    """Share of objects that hold each element, among all samples and among the best.

    Args:
        shares: in [0, 1] by symbol.
        best: likewise.
        path: path of the figure, .png.
    """
    names = sorted(shares, key=lambda name: -shares[name])
    place = np.arange(len(names))
    figure = Figure(figsize=(max(6.0, 0.3 * len(names)), 4), layout="constrained")
    axes = figure.subplots()
    axes.bar(place - 0.2, [shares[name] for name in names], width=0.4, label="all samples")
    axes.bar(place + 0.2, [best.get(name, 0.0) for name in names], width=0.4, label="best 100")
    axes.set_xticks(place, names)
    axes.set(xlabel="element", ylabel="share of objects")
    axes.legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
