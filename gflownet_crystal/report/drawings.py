"""The figures of a page: drawn once, as SVG in the page and as PNG beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gflownet_crystal.report.cards import Card
from gflownet_crystal.report.figure_style import figure_style, save_png, to_svg
from gflownet_crystal.report.figures import (
    energy_figure,
    group_figure,
    judged_figure,
    lattice_figure,
    training_figure,
)
from gflownet_crystal.report.figures_elements import (
    pair_figure,
    prevalence_figure,
    shown_elements,
    table_figure,
)
from gflownet_crystal.report.population import Population, atom_shares, crystal_shares
from gflownet_crystal.report.run_files import RunFiles

FIGURES = "figures"


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes:
        name: of its file, without suffix.
        title: above its caption.
        caption: what it shows and how.
        svg: the figure.
        wide: keep it wide on narrow screens, where it can be scrolled.
    """

    name: str
    title: str
    caption: str
    svg: Markup
    wide: bool


class Studio:
    """Draws figures, writes their PNG files and keeps them for the page.

    Args:
        folder: for the PNG files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def draw(
        self, name: str, title: str, caption: str, make: Callable[[], Figure], wide: bool = False
    ) -> Drawing:
        """Draw one figure.

        Raises:
            DataError: its PNG cannot be written.
        """
        with figure_style():
            figure = make()
            save_png(figure, self._folder / f"{name}.png")
            # matplotlib has escaped what stands in the figure
            svg = Markup(to_svg(figure, name, f"{title}. {caption}"))  # noqa: S704
        return Drawing(name, title, caption, svg, wide)


def energy_drawing(
    studio: Studio, run: RunFiles, energies: Mapping[str, NDArray[np.float64]], labels: Mapping[str, str]
) -> Drawing | None:
    """The distribution of the property; None without samples."""
    if not len(energies.get("samples", ())):
        return None
    caption = "Densities over the range that holds 98 % of each set; what lies beyond is in the outermost bins."
    if "candidates" in energies:
        caption += " Ticks are the candidates, one each."
    if "reference" in energies:
        caption += " Energies of reference crystals are the proxy's predictions too."
    name = f"Distribution of the predicted {run.property_label.partition(' (')[0]}"
    return studio.draw(
        "energy_distribution", name, caption, lambda: energy_figure(energies, labels, run.property_label)
    )


def training_drawing(studio: Studio, run: RunFiles) -> Drawing | None:
    """The curves of the training; None without metrics."""
    if not run.metrics:
        return None
    caption = "Each iteration (pale) and the running mean over 2 % of them. Energies and rewards are means of a batch."
    return studio.draw("training_curves", "Training", caption, lambda: training_figure(run.metrics), wide=True)


def judged_drawing(studio: Studio, run: RunFiles) -> Drawing | None:
    """Predicted against judged energies; None if nothing was judged."""
    frame = run.candidates
    if frame is None or "energy_after" not in frame.columns:
        return None
    if frame[["energy", "energy_after"]].isna().any(axis=1).all():
        return None
    caption = (
        "One point a candidate that was relaxed, with its rank; bars are the proxy's standard deviation. "
        "Above the line, the proxy was too optimistic."
    )
    judge = run.judge or "judge"
    return studio.draw(
        "predicted_judged", "Predicted and judged energies", caption, lambda: judged_figure(frame, judge)
    )


def crystal_drawings(
    studio: Studio,
    samples: Population,
    candidates: Population | None,
    reference: Population | None,
    untrained: Population | None,
) -> tuple[dict[str, Drawing], list[Drawing]]:
    """Elements, space groups and lattice parameters, and the co-occurrences of elements."""
    compared = [p for p in (samples, candidates, reference) if p is not None and len(p)]
    lattices = [p for p in (untrained, reference, samples) if p is not None and len(p)]
    numbers = shown_elements(compared, crystal_shares)
    figures = {
        "atoms": studio.draw(
            "elements_by_atoms", "Elements by atoms", "Share of all atoms: an element counts with its number in the cell.",
            lambda: prevalence_figure(compared, atom_shares, "share of atoms (%)"), wide=True,
        ),
        "presence": studio.draw(
            "elements_by_crystals", "Elements by crystals", "Share of crystals that hold an element: it counts once a crystal.",
            lambda: prevalence_figure(compared, crystal_shares, "share of crystals (%)"), wide=True,
        ),
        "groups": studio.draw(
            "space_groups", "Space groups", "Share of crystals by number of the space group; shading tells crystal systems apart.",
            lambda: group_figure(compared), wide=True,
        ),
        "lattice": studio.draw(
            "lattice_parameters", "Lattice parameters", "Of the conventional cells; outermost bins hold what lies beyond 98 % of each set.",
            lambda: lattice_figure(lattices), wide=True,
        ),
    }  # fmt: skip
    pairs = [_pairs(studio, population, numbers) for population in (samples, reference) if population is not None and len(population)]
    return figures, pairs


def _pairs(studio: Studio, population: Population, numbers: Sequence[int]) -> Drawing:
    caption = "Share of crystals that hold both elements, whatever their numbers; empty where none does."
    title = f"Elements that occur together, {population.kind}"
    return studio.draw(
        f"element_pairs_{population.kind}", title, caption, lambda: pair_figure(population, numbers)
    )


def table_drawing(studio: Studio, candidates: Population) -> Drawing:
    """The periodic table of the candidates; the page has one of its own to choose from."""
    shares = crystal_shares(candidates.composition)
    return studio.draw("periodic_table", "Periodic table", "Share of candidates.", lambda: table_figure(shares))


def table_cells(cards: Sequence[Card]) -> list[dict[str, object]]:
    """The page's periodic table: place, symbol, number of candidates that hold the element, and heat from 0 to 0.85."""
    from gflownet_crystal.report.periodic_table import PLACES
    from gflownet_crystal.structures.elements import SYMBOLS

    held = [symbol for card in cards for symbol in card["elements"]]
    counts = {symbol: held.count(symbol) for symbol in set(held)}
    most = max(counts.values(), default=1)
    return [
        {
            "symbol": SYMBOLS[number],
            "row": row,
            "column": column,
            "count": counts.get(SYMBOLS[number], 0),
            "heat": 0.12 + 0.73 * counts.get(SYMBOLS[number], 0) / most,
        }
        for number, (row, column) in PLACES.items()
    ]
