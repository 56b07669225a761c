"""The trade-off between several objectives: pairs of properties of samples and candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gflownet_crystal.common.objective_columns import property_columns
from gflownet_crystal.common.run_schema import HULL_COLUMN
from gflownet_crystal.proxies.hull import NEAR_HULL
from gflownet_crystal.report.drawings import Drawing, Studio
from gflownet_crystal.report.figure_style import COLOURS, INK, MANY, marker_size, new_figure, plain
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles

_MOST_PAIRS, _MOST_POINTS = 3, 2000
_SHOWN = (0.005, 0.995)


@dataclass(frozen=True)
class Axis:
    """One objective of the figure.

    Attributes:
        column: column of the tables.
        label: name and unit.
        low: lower limit that is asked for; None for none.
        high: upper limit; None for none.
    """

    column: str
    label: str
    low: float | None = None
    high: float | None = None


def axes_of(run: RunFiles, samples: pd.DataFrame) -> list[Axis]:
    """Objectives of a run: the distance to the hull where that is known, and each further property.

    Args:
        run: files of the run.
        samples: its samples.
    """
    found: list[Axis] = []
    names = property_columns(samples)
    if names and samples.get(HULL_COLUMN, pd.Series(dtype=float)).notna().any():
        found.append(Axis(HULL_COLUMN, "energy above hull (eV/atom)", high=NEAR_HULL))
    reward = run.config.get("reward")
    for name in names:
        term = reward.get(name) if isinstance(reward, Mapping) else None
        window = (
            (term.get("window") or (term.get("above"), term.get("below")))
            if isinstance(term, Mapping)
            else ()
        )
        low, high = window if isinstance(window, Sequence) and len(window) == 2 else (None, None)
        unit = run.summary.properties.get(name)
        label = name.replace("_", " ") + (f" ({unit})" if unit not in (None, "", "1") else "")
        found.append(Axis(name, label, low, high))
    return found


def trade_off_drawing(
    studio: Studio, run: RunFiles, samples: Population | None, sets: Sequence[Population | None]
) -> Drawing | None:
    """Pairs of objectives of samples and of other sets; None for a run of one objective.

    Args:
        studio: draws the figure.
        run: files of the run.
        samples: samples of the trained sampler.
        sets: other sets, such as samples of the prior and candidates.
    """
    objectives = [] if samples is None else axes_of(run, samples.frame)
    if samples is None or len(objectives) < 2:
        return None
    shown = [one for one in (*sets, samples) if one is not None]
    shown = [one for one in shown if {axis.column for axis in objectives} <= set(one.frame.columns)]
    # candidates lie above all others
    shown.sort(key=lambda one: one.kind == "candidates")
    caption = (
        f"One point an object by the proxies, all candidates and at most {_MOST_POINTS:,} of each other set, over the "
        "range that holds 99 % of the samples. Shaded: within the limits that were asked for, and up to "
        f"{NEAR_HULL} eV/atom above the hull."
    )
    return studio.draw(
        "trade_off",
        "Trade-off between the objectives",
        caption,
        lambda: trade_off_figure(objectives, shown),
        wide=True,
    )


def trade_off_figure(objectives: Sequence[Axis], sets: Sequence[Population]) -> Figure:
    """Scatter plots of at most three pairs of objectives, limits shaded.

    Args:
        objectives: at least two.
        sets: populations with the columns of the objectives, drawn in this order.
    """
    pairs = list(combinations(objectives, 2))[:_MOST_PAIRS]
    figure = new_figure(4.6 * len(pairs), 3.8)
    for axes, (across, up) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        for axis, fill in ((across, axes.axvspan), (up, axes.axhspan)):
            if axis.low is not None or axis.high is not None:
                low = -1e9 if axis.low is None else axis.low
                fill(low, 1e9 if axis.high is None else axis.high, color=INK, alpha=0.08, linewidth=0)
        for one in sets:
            rows = one.frame[[across.column, up.column]].dropna()
            big = one.kind == "candidates"
            rows = rows if big else rows.sample(min(len(rows), _MOST_POINTS), random_state=0)
            axes.plot(rows[across.column], rows[up.column], "D" if big else "o", linewidth=0,
                      ms=marker_size(5, len(rows)) if big else 2, alpha=1.0 if big else 0.5, color=COLOURS[one.kind],
                      label=plain(one.label), rasterized=len(rows) > MANY)  # fmt: skip
        for axis, limit in ((across, axes.set_xlim), (up, axes.set_ylim)):
            limit(*_range(axis, sets))
        axes.set(xlabel=plain(across.label), ylabel=plain(up.label))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, markerscale=2)
    return figure


def _range(axis: Axis, sets: Sequence[Population]) -> tuple[float, float]:
    """Range that holds nearly all values of the samples, the candidates and the limits."""
    kept = [one.frame[axis.column].dropna() for one in sets if one.kind in ("samples", "candidates")]
    ends = [value for column in kept if len(column) for value in column.quantile(list(_SHOWN))]
    ends += [limit for limit in (axis.low, axis.high) if limit is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.05 * (high - low) or 0.5
    return float(np.float64(low - room)), float(np.float64(high + room))
