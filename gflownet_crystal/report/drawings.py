"""The figures of a page: drawn once, as SVG in the page and as PNG beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import ENERGY, ENERGY_AFTER
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.report.card_values import Card
from gflownet_crystal.report.figure_style import figure_style, save_png, to_svg
from gflownet_crystal.report.figures import energy_figure, hull_figure, judged_figure, training_figure
from gflownet_crystal.report.figures_evidence import funnel_figure, two_judges_figure
from gflownet_crystal.report.run_files import RunFiles


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes:
        name: name of its file, without suffix.
        title: above its caption.
        caption: description of the content.
        svg: the figure; matplotlib has escaped its texts.
        wide: keep it wide on narrow screens, where it can be scrolled.
    """

    name: str
    title: str
    caption: str
    svg: str
    wide: bool


class Studio:
    """Draws figures, writes their PNG files and keeps them for the page.

    Args:
        folder: folder for the PNG files.
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
            # the layout is found once; inches and fonts are the same on the page
            figure.set_layout_engine("none")
            svg = to_svg(figure, name, f"{title}. {caption}")
        return Drawing(name, title, caption, svg, wide)


def energy_drawing(
    studio: Studio, run: RunFiles, energies: Mapping[str, NDArray[np.float64]], labels: Mapping[str, str]
) -> Drawing | None:
    """The distribution of the property; None without samples."""
    if not np.isfinite(energies.get("samples", np.zeros(0))).any():
        return None
    caption = "Densities over the range that holds 98 % of each set; the outermost bins hold the rest."
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
    return studio.draw(
        "training_curves",
        "Training",
        caption,
        lambda: training_figure(run.metrics, run.property_label),
        wide=True,
    )


def judged_drawing(studio: Studio, run: RunFiles, frame: pd.DataFrame) -> Drawing | None:
    """Predicted against judged energies; None if nothing was judged, or the property is another one."""
    comparable = run.summary.quantity.name == ENERGY_COLUMN
    if not comparable or ENERGY_AFTER not in frame.columns:
        return None
    if frame[[ENERGY, ENERGY_AFTER]].isna().any(axis=1).all():
        return None
    caption = (
        "One point a candidate that was relaxed, the best ten with their rank; bars are the proxy's standard "
        "deviation. Above the line, the proxy was too optimistic."
    )
    judge = run.judge or "judge"
    return studio.draw(
        "predicted_judged", "Predicted and judged energies", caption, lambda: judged_figure(frame, judge)
    )


def two_judges_drawing(studio: Studio, run: RunFiles, cards: Sequence[Card]) -> Drawing | None:
    """Energies above the hull by the model that judges and the one that relaxed; None unless there are both."""
    if all(card.second_above_hull is None for card in cards):
        return None
    caption = (
        "One point a candidate that was relaxed, the best ten with their rank. Shaded: from 0.1 eV/atom below to 0.1 "
        "above the hull. Where both models put a candidate there, they agree that it is stable."
    )
    names = run.judge or "judge", run.relaxer or "potential"
    return studio.draw("two_judges", "Two judges", caption, lambda: two_judges_figure(cards, names))


def funnel_drawing(studio: Studio, run: RunFiles) -> Drawing | None:
    """Drawing of the number left after each stage of the search; None where the run does not record it."""
    if not run.funnel:
        return None
    caption = "How many were left after each stage of the search for candidates, on a logarithmic scale."
    return studio.draw(
        "funnel", "From samples to candidates", caption, lambda: funnel_figure(run.funnel), wide=True
    )


def hull_drawing(studio: Studio, cards: Sequence[Card], near: float) -> Drawing | None:
    """Energies above hull by rank; None where they are not known."""
    if all(card.e_above_hull is None for card in cards):
        return None
    judged = {card.status for card in cards if card.judged_above_hull is not None}
    caption = "Predicted (bars: the proxy's standard deviation)"
    caption += " and judged, measured from the same hull." if judged else "."
    if judged - {"converged", None}:
        caption += " Hollow: the relaxation did not converge."
    caption += f" Shaded: up to {near} eV/atom above the hull."
    return studio.draw("above_hull", "Energies above hull", caption, lambda: hull_figure(cards, near))
