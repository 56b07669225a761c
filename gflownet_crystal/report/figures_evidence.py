"""Figures of a search, stage by stage, and of two judges' energies of the same candidates."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from gflownet_crystal.proxies.hull import FAR_BELOW, NEAR_HULL
from gflownet_crystal.report.card_values import Rated
from gflownet_crystal.report.figure_style import COLOURS, INK, MANY, marker_size, new_figure, plain

_NAMED = 10


def funnel_figure(stages: Sequence[tuple[str, int]]) -> Figure:
    """Bars of the numbers left after each stage, the first on top, on a logarithmic scale.

    Args:
        stages: names and numbers, at least one.
    """
    figure = new_figure(9, 0.9 + 0.32 * len(stages))
    axes = figure.subplots()
    places = list(range(len(stages)))
    numbers = [n for _, n in stages]
    # a logarithmic scale has no zero
    axes.barh(places, [max(n - 0.5, 0.0) for n in numbers], left=0.5, color=COLOURS["candidates"], height=0.7)
    for place, n in zip(places, numbers, strict=True):
        axes.text(max(n, 0.5) * 1.08, place, f"{n:,}", va="center", fontsize=9)
    axes.set_yticks(places, [plain(name) for name, _ in stages])
    axes.set(xscale="log", xlabel="number left", xlim=(0.5, 4.0 * max(*numbers, 1)))
    axes.invert_yaxis()
    return figure


def two_judges_figure(cards: Sequence[Rated], names: tuple[str, str]) -> Figure:
    """Energies above the hull by two models, one point a candidate, their equality drawn, the best ten named.

    Args:
        cards: cards of the candidates; those that lack one of the two energies are left out.
        names: names of the models.
    """
    drawn = [c for c in cards if c.judged_above_hull is not None and c.second_above_hull is not None]
    figure = new_figure(4.9, 3.6)
    axes = figure.subplots()
    x, y = ([getattr(card, key) for card in drawn] for key in ("judged_above_hull", "second_above_hull"))
    low, high = min(*x, *y, 0.0) - 0.05, max(*x, *y, NEAR_HULL) + 0.05
    for fill in (axes.axvspan, axes.axhspan):
        fill(FAR_BELOW, NEAR_HULL, color=INK, alpha=0.07, linewidth=0)
    axes.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle="--")
    axes.plot(x, y, "o", ms=marker_size(5, len(drawn)), color=COLOURS["candidates"],
              rasterized=len(drawn) > MANY)  # fmt: skip
    for card in sorted(drawn, key=lambda one: one.rank)[:_NAMED]:
        place = (card.judged_above_hull, card.second_above_hull)
        axes.annotate(str(card.rank), place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(
        xlim=(low, high), ylim=(low, high),
        xlabel=f"above hull by {plain(names[0])} (eV/atom)", ylabel=f"by {plain(names[1])} (eV/atom)",
    )  # fmt: skip
    return figure
