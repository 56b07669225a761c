"""Figures of elements: their prevalence, which of them occur together, and the periodic table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from gflownet_crystal.report.figure_style import COLOURS, INK, new_figure, plain
from gflownet_crystal.report.periodic_table import PLACES
from gflownet_crystal.report.population import Population, pair_shares
from gflownet_crystal.structures.elements import SYMBOLS

MAX_ELEMENTS = 40
"""Elements that a figure shows, the most frequent ones."""

_PERCENT = (0.1, 100.0)
Shares = Callable[[NDArray[np.int64]], NDArray[np.float64]]


def shown_elements(populations: Sequence[Population], shares: Shares) -> list[int]:
    """Atomic numbers of the elements to draw, most frequent in the first population first."""
    first, *others = [shares(population.composition) for population in populations]
    most = np.max([first, *others], axis=0)
    order = np.lexsort((-most, -first))
    return [int(number) for number in order if most[number] > 0][:MAX_ELEMENTS]


def prevalence_figure(populations: Sequence[Population], shares: Shares, label: str) -> Figure:
    """Shares of elements as grouped bars.

    Args:
        populations: the first decides the order of the elements.
        shares: shares of a population's composition, (119,) by atomic number.
        label: label of the axis, the shares being in percent.
    """
    numbers = shown_elements(populations, shares)
    place, width = np.arange(len(numbers)), 0.84 / len(populations)
    figure = new_figure(9, 3)
    axes = figure.subplots()
    for index, population in enumerate(populations):
        values = 100 * shares(population.composition)[numbers]
        offset = (index - (len(populations) - 1) / 2) * width
        axes.bar(place + offset, values, width, color=COLOURS[population.kind], label=plain(population.label))
    axes.set_xticks(place, [SYMBOLS[number] for number in numbers])
    axes.set(ylabel=label, xlim=(-0.6, len(numbers) - 0.4))
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def pair_figure(population: Population, numbers: Sequence[int]) -> Figure:
    """Shares of crystals that hold two elements, colours by logarithm; pairs that never occur stay empty.

    Args:
        population: the crystals.
        numbers: atomic numbers of the rows and columns.
    """
    ordered = sorted(numbers)
    shares = 100 * pair_shares(population.composition)[np.ix_(ordered, ordered)]
    np.fill_diagonal(shares, 0.0)
    figure = new_figure(4.9, 4.4)
    axes = figure.subplots()
    # one scale for all sets; rarer pairs look as the rarest of it
    scale = LogNorm(*_PERCENT, clip=True)
    drawn = axes.pcolormesh(np.ma.masked_equal(shares, 0.0), cmap="viridis", norm=scale, linewidth=0)
    places, names = np.arange(len(ordered)) + 0.5, [SYMBOLS[number] for number in ordered]
    size = 7 if len(ordered) <= 26 else 5
    axes.set_xticks(places, names, fontsize=size, rotation=90)
    axes.set_yticks(places, names, fontsize=size)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    bar = figure.colorbar(drawn, label="share of crystals (%)", shrink=0.8, format="%g")
    bar.minorticks_off()
    axes.set_title(plain(population.label), fontsize=10)
    return figure


def table_figure(shares: NDArray[np.float64]) -> Figure:
    """The periodic table, coloured by share.

    Args:
        shares: (119,) by atomic number.
    """
    figure = new_figure(9, 4.8)
    axes = figure.subplots()
    colours = colormaps["Blues"]
    most = max(float(shares.max()), 1e-9)
    for number, (row, column) in PLACES.items():
        share = float(shares[number])
        face = colours(0.15 + 0.75 * share / most) if share else "none"
        ink = "white" if share > 0.55 * most else INK
        axes.add_patch(Rectangle((column, row), 0.94, 0.94, facecolor=face, edgecolor=INK, linewidth=0.4))
        axes.text(column + 0.47, row + 0.42, SYMBOLS[number], ha="center", va="center", fontsize=9, color=ink)
        if share:
            axes.text(column + 0.47, row + 0.76, f"{100 * share:.0f} %", ha="center", va="center", fontsize=6,
                      color=ink)  # fmt: skip
    axes.set(xlim=(0.9, 19.1), ylim=(10.6, 0.9), aspect="equal")
    axes.axis("off")
    return figure
