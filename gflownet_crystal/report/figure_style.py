"""Style of the report's figures, as PNG on white and as SVG in the colours of the page around them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from gflownet_crystal.common.files import atomic_path

INK = "#010203"
"""Colour of text and axes; in SVG it becomes the colour of the text around the figure."""

COLOURS = {
    "untrained": "#9a8fa8",
    "prior": "#b5477c",
    "reference": "#e08a0b",
    "samples": "#2f81c7",
    "candidates": "#1a9e77",
}
"""By the kind of a population; told apart by colour-blind readers, on light and dark paper."""

MANY = 2000
"""Points of a set above which they are a picture in the SVG: as shapes they would take more than 100 bytes each."""

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
}
_DOTS = 200
"""Dots an inch of pictures in the SVG."""
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_NAMESPACE = re.compile(r'\sxmlns(:\w+)?="[^"]*"')
_SIZE = re.compile(r'\s(width|height)="[0-9.]+pt"')
_NAME = re.compile(r'(\bid="|url\(#|href="#)')


@contextmanager
def figure_style() -> Iterator[None]:
    """The settings under which figures are drawn and saved."""
    with rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    return Figure(figsize=(width, height), layout="constrained")


def marker_size(size: float, n: int) -> float:
    """Size of the markers of n points: that of a few, in points; many are smaller, as they would hide each other."""
    return size if n <= MANY else 0.4 * size


def plain(text: str) -> str:
    """A text from data as it stands: matplotlib reads text between dollars as mathematics."""
    return text.replace("$", r"\$")


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG on white.

    Raises:
        DataError: the folder cannot be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, facecolor="white")


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """A figure as an element of a page.

    Args:
        figure: drawn.
        name: unlike that of any other figure of the page; identifiers begin with it.
        alt: description for readers who cannot see it.

    Returns:
        ``<svg>`` without a size of its own and without names of other places.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=_DOTS)
    text = buffer.getvalue()
    text = _METADATA.sub("", text[text.index("<svg") :])
    head, _, body = text.partition(">")
    head = _SIZE.sub("", _NAMESPACE.sub("", head))
    body = _NAME.sub(rf"\g<1>{name}-", body).replace(INK, "currentColor")
    return f'{head} role="img" aria-label="{escape(alt)}">{body}'
