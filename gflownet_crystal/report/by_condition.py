"""Properties of the samples of a conditional sampler, by the condition that they were drawn for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import CONDITION_PREFIX, ENERGY, HULL_COLUMN
from gflownet_crystal.report.drawings import Drawing, Studio
from gflownet_crystal.report.figure_style import COLOURS, INK, new_figure, plain
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles

Floats = NDArray[np.float64]
_BINS, _MOST = 10, 4
_QUANTILES = (0.1, 0.5, 0.9)


def condition_drawing(studio: Studio, run: RunFiles, samples: Population | None) -> Drawing | None:
    """Properties of the samples against their conditions; None for a run without conditions.

    Args:
        studio: draws the figure.
        run: files of the run.
        samples: samples of the trained sampler.
    """
    frame = pd.DataFrame() if samples is None else samples.frame
    pairs = condition_pairs(frame, run.property_label)
    if not pairs:
        return None
    caption = (
        "Median of the samples and the range that holds 80 % of them, by the proxies, for each tenth of the range of a "
        "condition. Dashed: the value that was asked for."
    )
    title = "Samples by their conditions"
    return studio.draw(
        "conditions", title, caption, lambda: condition_figure(frame, pairs), wide=len(pairs) > 1
    )


def condition_pairs(frame: pd.DataFrame, energy: str) -> list[tuple[str, str, str, bool]]:
    """Condition, column that it acts on, that column's label, and whether the condition is a value of the column.

    Pairs without a number are left out.

    Args:
        frame: samples.
        energy: name and unit of the main property.
    """
    hull = frame.get(HULL_COLUMN, pd.Series(dtype=float)).notna().any()
    main = (HULL_COLUMN, "energy above hull (eV/atom)") if hull else (ENERGY, energy)
    found = []
    for column in (str(one) for one in frame.columns if str(one).startswith(CONDITION_PREFIX)):
        name = column.removeprefix(CONDITION_PREFIX)
        if name in frame.columns:
            found.append((name, name, name.replace("_", " "), True))
        elif name == "target":
            found.append((name, ENERGY, energy, True))
        else:
            found.append((name, *main, False))
    columns = [(f"{CONDITION_PREFIX}{name}", column) for name, column, _, _ in found]
    drawn = [frame[list(pair)].apply(np.isfinite).all(axis=1).any() for pair in columns]
    return [one for one, is_drawn in zip(found, drawn, strict=True) if is_drawn][:_MOST]


def condition_figure(frame: pd.DataFrame, pairs: Sequence[tuple[str, str, str, bool]]) -> Figure:
    """Quantiles of a property over bins of a condition, a panel a condition.

    Args:
        frame: samples.
        pairs: see :func:`condition_pairs`; at least one.
    """
    figure = new_figure(4.6 * len(pairs), 3.6)
    for axes, (name, column, label, is_value) in zip(
        figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True
    ):
        rows = frame[[f"{CONDITION_PREFIX}{name}", column]].to_numpy(dtype=float)
        rows = rows[np.isfinite(rows).all(axis=1)]
        centres, quantiles = binned_quantiles(rows[:, 0], rows[:, 1])
        axes.fill_between(
            centres, quantiles[:, 0], quantiles[:, 2], color=COLOURS["samples"], alpha=0.25, linewidth=0
        )
        axes.plot(centres, quantiles[:, 1], "o-", ms=4, color=COLOURS["samples"])
        if is_value:
            axes.plot(centres, centres, "--", color=INK, linewidth=1)
        axes.set(xlabel=plain(f"condition: {name.replace('_', ' ')}"), ylabel=plain(label))
    return figure


def binned_quantiles(condition: Floats, value: Floats) -> tuple[Floats, Floats]:
    """Means of the condition (b,) and quantiles 0.1, 0.5 and 0.9 of the value (b, 3) in bins that are not empty.

    Args:
        condition: (n,) values of the condition, n at least 1.
        value: (n,) values of the property.
    """
    edges = np.linspace(condition.min(), condition.max(), _BINS + 1)
    places = np.clip(np.searchsorted(edges, condition, side="right") - 1, 0, _BINS - 1)
    table = pd.DataFrame({"bin": places, "condition": condition, "value": value}).groupby("bin")
    centres = table["condition"].mean().to_numpy()
    columns = [table["value"].quantile(share).to_numpy() for share in _QUANTILES]
    return centres, np.stack(columns, axis=1)
