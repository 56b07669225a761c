"""One crystal as an interactive cell for a notebook: a page of its own inside a frame."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from gflownet_crystal.report.cells import drawing_of, element_styles
from gflownet_crystal.structures.structure import StructureBatch

_LEGEND = 30


def cell_view(structure: StructureBatch, name: str, width: int = 360, height: int = 300) -> str:
    """HTML of a cell that turns and zooms; it reads nothing from a network.

    Args:
        structure: one structure.
        name: name of the crystal, read by screen readers.
        width: width of the frame, pixels.
        height: height of the drawing, pixels.
    """
    environment = Environment(
        loader=PackageLoader("gflownet_crystal.report", "assets"), autoescape=True, undefined=StrictUndefined
    )
    crystal = drawing_of(structure.to("cpu"))
    page = environment.get_template("cell.html").render(
        name=name,
        height=height,
        crystal=crystal,
        styles=element_styles(set(crystal["elements"])),
        viewer=files("gflownet_crystal.report").joinpath("assets/viewer.js").read_text(encoding="utf-8"),
    )
    # a frame keeps the names of scripts of several cells apart
    return (
        f'<iframe title="Unit cell of {escape(name)}" width="{width}" height="{height + _LEGEND}" '
        f'style="border: 0" srcdoc="{escape(page)}"></iframe>'
    )
