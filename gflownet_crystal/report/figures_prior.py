"""Figures of a training with a prior: its samples beside those of the prior and the crystals that the prior knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.report.figure_style import COLOURS, new_figure, plain
from gflownet_crystal.report.figures import group_rows
from gflownet_crystal.report.figures_elements import MAX_ELEMENTS
from gflownet_crystal.report.population import Population
from gflownet_crystal.structures.distributions import distributions
from gflownet_crystal.structures.spec_io import frame_to_specs

_BAR = 0.84


@dataclass(frozen=True)
class Shares:
    """Distributions of a set of crystals.

    Attributes:
        kind: decides the colour.
        label: in legends.
        shares: distributions of :func:`gflownet_crystal.structures.distributions.distributions`.
    """

    kind: str
    label: str
    shares: Mapping[str, Any]

    def of(self, what: str, keys: Sequence[str]) -> NDArray[np.float64]:
        """Share of each key, (k,), 0 where it does not occur."""
        return np.array([self.shares[what].get(key, 0.0) for key in keys], dtype=np.float64)


def shares_of(population: Population) -> Shares:
    """The distributions of a population."""
    specs = frame_to_specs(population.frame.reset_index(drop=True))
    return Shares(population.kind, population.label, distributions(specs))


def element_share_figure(sets: Sequence[Shares]) -> Figure:
    """Share of crystals that hold an element, of the elements that the run's samples or its prior's hold.

    Args:
        sets: the first decides the order of the elements; known crystals have the kind ``reference``.
    """
    drawn = [one for one in sets if one.kind != "reference"] or sets
    found = list(dict.fromkeys(symbol for one in drawn for symbol in one.shares["elements"]))
    most = np.max([one.of("elements", found) for one in drawn], axis=0)
    order = np.lexsort((-most, -sets[0].of("elements", found)))[:MAX_ELEMENTS]
    figure = new_figure(9, 3)
    axes = figure.subplots()
    _bars(axes, sets, "elements", [found[place] for place in order])
    axes.set(ylabel="share of crystals (%)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def size_figure(sets: Sequence[Shares]) -> Figure:
    """Number of different elements, as bars, and atoms in the conventional cell, as cumulated shares."""
    figure = new_figure(9, 3)
    left, right = figure.subplots(1, 2)
    numbers = sorted({int(key) for one in sets for key in one.shares["n_elements"]})
    _bars(left, sets, "n_elements", [str(number) for number in numbers])
    left.set(xlabel="different elements", ylabel="share of crystals (%)")
    most = max(int(key) for one in sets for key in one.shares["n_atoms"])
    places = np.arange(1, most + 1)
    for one in sets:
        summed = 100 * one.of("n_atoms", [str(number) for number in places]).cumsum()
        right.step(places, summed, where="post", color=COLOURS[one.kind], label=plain(one.label))
    right.set(xlabel="atoms in the conventional cell", ylabel="cumulative share (%)", ylim=(0, 102))
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def group_share_figure(sets: Sequence[Shares]) -> Figure:
    """Share of crystals by space group, one row of axes a set."""
    keys = [str(number) for number in range(N_SPACE_GROUPS + 1)]
    return group_rows([(one.kind, one.label, one.of("space_groups", keys)) for one in sets])


def _bars(axes: Axes, sets: Sequence[Shares], what: str, keys: Sequence[str]) -> None:
    place, width = np.arange(len(keys)), _BAR / len(sets)
    for index, one in enumerate(sets):
        offset = (index - (len(sets) - 1) / 2) * width
        axes.bar(
            place + offset, 100 * one.of(what, keys), width, color=COLOURS[one.kind], label=plain(one.label)
        )
    axes.set_xticks(place, list(keys))
    axes.set_xlim(-0.6, len(keys) - 0.4)


FIGURES: tuple[tuple[str, str, str, Callable[[Sequence[Shares]], Figure]], ...] = (
    (
        "prior_elements",
        "Elements, with the prior's",
        "Share of crystals that hold an element, of the elements that samples of the run or of the prior hold.",
        element_share_figure,
    ),
    (
        "prior_sizes",
        "Numbers of elements and of atoms, with the prior's",
        "Different elements of a crystal; and atoms of its conventional cell, as a cumulative share.",
        size_figure,
    ),
    (
        "prior_groups",
        "Space groups, with the prior's",
        "Share of crystals by number of the space group; shading tells crystal systems apart.",
        group_share_figure,
    ),
)
"""Name, title, caption and maker of each figure."""
