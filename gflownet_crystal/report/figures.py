"""Figures of the report: energies, space groups, lattice parameters, training and judged candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gflownet_crystal.common.bins import common_bins, drawable
from gflownet_crystal.common.run_schema import ENERGY, ENERGY_AFTER, ENERGY_STD, RANK, SPACE_GROUP
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_LATTICE_SYSTEMS,
    N_SPACE_GROUPS,
    crystal_lattice_system_of_group,
)
from gflownet_crystal.report.card_values import Rated
from gflownet_crystal.report.figure_style import COLOURS, INK, MANY, marker_size, new_figure, plain
from gflownet_crystal.report.population import Population, group_shares

Floats = NDArray[np.float64]

LATTICE_PANELS = (
    ("a", "a (Å)"), ("b", "b (Å)"), ("c", "c (Å)"),
    ("alpha", r"$\alpha$ (degrees)"), ("beta", r"$\beta$ (degrees)"), ("gamma", r"$\gamma$ (degrees)"),
)  # fmt: skip
_CURVES = (
    ("loss", "loss"), ("log_z", "log Z"), ("mean_log_reward", "mean log R"), ("mean_energy", "mean {}"),
)  # fmt: skip
_CURVES_OF_A_PRIOR = (("kl_from_prior", "KL from the prior (nats)"), ("mean_log_prior", "mean log prior"))
_SHORT = ("triclinic", "monocl.", "orthorhombic", "tetragonal", "trigonal", "trigonal", "hexag.", "cubic")
_NAMED = 10
_PALE = 0.25


def energy_figure(energies: Mapping[str, Floats], labels: Mapping[str, str], unit: str) -> Figure:
    """Densities of the property by kind of population (the paper's figure 2), over 98 % of each; candidates as ticks.

    Args:
        energies: values by kind; those that are not finite are left out.
        labels: in the legend, by kind.
        unit: name and unit of the property.
    """
    finite = {kind: values[np.isfinite(values)] for kind, values in energies.items()}
    finite = {kind: values for kind, values in finite.items() if len(values)}
    figure = new_figure(4.9, 3.6)
    axes = figure.subplots()
    bins = common_bins(list(finite.values()), 60)
    for kind, values in finite.items():
        if kind == "candidates":
            axes.plot(values, np.full_like(values, 0.03), "|", ms=9, mew=1.0, c=COLOURS[kind],
                      label=plain(labels[kind]), transform=axes.get_xaxis_transform(),
                      rasterized=len(values) > MANY)  # fmt: skip
        else:
            _density(axes, values, bins, kind, plain(labels[kind]))
    axes.set(xlabel=plain(unit), ylabel="density")
    _legend(figure, 2)
    return figure


def _legend(figure: Figure, columns: int) -> None:
    """Legend of the first axes above a figure, if they show anything."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=columns)


def _density(axes: Axes, values: Floats, bins: Floats, kind: str, label: str | None) -> None:
    # every value counts: those beyond the range are in the outermost bins
    inside = np.clip(values, bins[0], bins[-1])
    style = {"bins": bins.tolist(), "density": True, "color": COLOURS[kind]}
    axes.hist(inside, alpha=0.3, **style)
    axes.hist(inside, histtype="step", linewidth=1.4, label=label, **style)


def group_figure(populations: Sequence[Population]) -> Figure:
    """Share of crystals by space group, one row of axes a population (the paper's figure 9)."""
    shares = [group_shares(one.frame[SPACE_GROUP].to_numpy(dtype=np.int64)) for one in populations]
    return group_rows([(one.kind, one.label, mine) for one, mine in zip(populations, shares, strict=True)])


def group_rows(sets: Sequence[tuple[str, str, Floats]]) -> Figure:
    """Share of crystals by space group, one row of axes a set.

    Args:
        sets: kind, label, and shares (231,) by number of the group.
    """
    figure = new_figure(9, 0.6 + 1.5 * len(sets))
    rows = figure.subplots(len(sets), 1, sharex=True, squeeze=False)[:, 0]
    numbers = np.arange(1, N_SPACE_GROUPS + 1)
    systems = crystal_lattice_system_of_group[1:]
    # trigonal-rhombohedral and trigonal-hexagonal groups take turns: one band for both
    bands = np.array([_SHORT.index(_SHORT[index - 1]) for index in systems])
    for axes, (kind, label, shares) in zip(rows, sets, strict=True):
        axes.bar(numbers, 100 * shares[1:], width=1.0, color=COLOURS[kind])
        axes.set_title(plain(label), loc="left", fontsize=10, pad=14 if axes is rows[0] else 4)
        axes.set(ylabel="share (%)", xlim=(0.5, N_SPACE_GROUPS + 0.5))
        for count, band in enumerate(dict.fromkeys(bands.tolist())):
            inside = numbers[bands == band]
            if count % 2:
                axes.axvspan(inside[0] - 0.5, inside[-1] + 0.5, color=INK, alpha=0.07, linewidth=0)
            if axes is rows[0] and len(inside) > 4:
                axes.text(inside.mean(), 1.02, _SHORT[band], transform=axes.get_xaxis_transform(),
                          ha="center", va="bottom", fontsize=8)  # fmt: skip
    rows[-1].set_xlabel("space group number")
    return figure


def system_shares(space_group: NDArray[np.int64]) -> dict[str, float]:
    """Share of crystals in each of the eight crystal-lattice systems."""
    counts = np.bincount(crystal_lattice_system_of_group[space_group], minlength=9)[1:]
    shares = counts / max(len(space_group), 1)
    return dict(zip(CRYSTAL_LATTICE_SYSTEMS, shares.tolist(), strict=True))


def lattice_figure(populations: Sequence[Population]) -> Figure:
    """Densities of lengths and angles of the conventional cells (the paper's figure 10)."""
    figure = new_figure(9, 5)
    for axes, (column, label) in zip(figure.subplots(2, 3).ravel(), LATTICE_PANELS, strict=True):
        drawn = [(p, p.frame[column].dropna().to_numpy(dtype=np.float64)) for p in populations]
        drawn = [(population, values) for population, values in drawn if len(values)]
        bins = common_bins([values for _, values in drawn], 40)
        for population, values in drawn:
            _density(axes, values, bins, population.kind, plain(population.label))
        axes.set(xlabel=label, yticks=[])
        if column in ("alpha", "beta", "gamma"):
            # right angles and 120 degrees are most of all angles
            axes.set_yscale("log")
            axes.set_yticks([], minor=True)
    _legend(figure, 4)
    figure.supylabel("density (angles: logarithmic)", fontsize=10)
    return figure


def training_figure(metrics: Sequence[Mapping[str, object]], unit: str = "energy") -> Figure:
    """Loss, log Z, mean log-reward and mean energy by iteration, with running means over 2 % of them.

    Of a training with a prior also the divergence from it, and the mean log-density of the samples under it.

    Args:
        metrics: one record an iteration.
        unit: name and unit of the property.
    """
    table = pd.DataFrame(list(metrics))
    curves = _CURVES + (_CURVES_OF_A_PRIOR if "kl_from_prior" in table else ())
    figure = new_figure(9, 5)
    window = max(1, len(table) // 50)
    for axes, (key, label) in zip(figure.subplots(2, len(curves) // 2).ravel(), curves, strict=True):
        axes.set(xlabel="iteration", ylabel=label.replace("{}", plain(unit)))
        if key not in table:
            continue
        values, steps = drawable(table[key]), drawable(table["step"])
        axes.plot(steps, values, color=COLOURS["samples"], alpha=0.35, linewidth=0.8)
        axes.plot(steps, values.rolling(window, min_periods=1).mean(), color=COLOURS["samples"])
        if key == "loss" and (values > 0).any():
            axes.set_yscale("log")
    return figure


def judged_figure(candidates: pd.DataFrame, judge: str) -> Figure:
    """Predicted against judged energies of relaxed candidates, their equality drawn, the best ten named.

    Args:
        candidates: columns energy, energy_std and energy_after, eV/atom.
        judge: name of the energy model that relaxed them.
    """
    rows = candidates.dropna(subset=[ENERGY, ENERGY_AFTER])
    figure = new_figure(4.9, 3.6)
    axes = figure.subplots()
    spread = rows[ENERGY_STD].fillna(0.0)
    drawn = axes.errorbar(rows[ENERGY], rows[ENERGY_AFTER], xerr=spread, fmt="o", ms=marker_size(5, len(rows)),
                          linewidth=1, color=COLOURS["candidates"], rasterized=len(rows) > MANY)  # fmt: skip
    _fade_bars(drawn, len(rows))
    ends = pd.concat([rows[ENERGY], rows[ENERGY_AFTER]])
    low, high = ends.min() - 0.2, ends.max() + 0.2
    axes.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle="--")
    axes.text(high, high, "equal", ha="right", va="bottom", fontsize=9)
    named = rows.nsmallest(_NAMED, RANK)
    for rank, x, y in zip(named[RANK], named[ENERGY], named[ENERGY_AFTER], strict=True):
        axes.annotate(str(rank), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="predicted (eV/atom)", ylabel=f"after relaxation, {plain(judge)} (eV/atom)")
    return figure


def _fade_bars(drawn: ErrorbarContainer, n: int) -> None:
    """Make the error bars of many points pale, as they would hide the points."""
    if n > MANY:
        for bars in drawn.lines[2]:
            bars.set_alpha(_PALE)


def hull_figure(cards: Sequence[Rated], near: float) -> Figure:
    """Energy above hull by rank: as predicted, with the proxy's standard deviation, and as judged.

    Args:
        cards: cards of the candidates.
        near: eV/atom above the hull up to which a crystal counts as near it.
    """
    figure = new_figure(4.9, 3.6)
    axes = figure.subplots()
    axes.axhspan(0.0, near, color=INK, alpha=0.09, linewidth=0)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    drawn = [card for card in cards if card.e_above_hull is not None]
    ranks = [card.rank for card in drawn]
    above = [card.e_above_hull for card in cards if card.e_above_hull is not None]
    spread = [card.energy_std or 0.0 for card in drawn]
    points = axes.errorbar(ranks, above, yerr=spread, fmt="o", ms=marker_size(2.5, len(drawn)), linewidth=0.6,
                           color=COLOURS["samples"], label="predicted", rasterized=len(drawn) > MANY)  # fmt: skip
    _fade_bars(points, len(drawn))
    judged = [card for card in cards if card.judged_above_hull is not None]
    for is_converged, fill, label in (
        (True, COLOURS["reference"], "judged"),
        (False, "none", "not converged"),
    ):
        drawn = [card for card in judged if (card.status in (None, "converged")) == is_converged]
        if drawn:
            ranks = [card.rank for card in drawn]
            above = [card.judged_above_hull for card in drawn if card.judged_above_hull is not None]
            axes.plot(ranks, above, "D", ms=marker_size(5, len(drawn)), color=COLOURS["reference"], mfc=fill,
                      label=label, rasterized=len(drawn) > MANY)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.set(xlabel="rank", ylabel="energy above hull (eV/atom)")
    _legend(figure, 3)
    return figure
