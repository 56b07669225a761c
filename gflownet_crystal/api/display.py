"""Tables of samples and crystals as text and as HTML: their first rows and the columns that matter."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd

from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.crystallography.space_groups import space_group_symbol
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition

N_SHOWN = 10
"""Number of rows of a table that are shown."""

_WIDEST = 120


def reduced_formulas(formulas: Sequence[str]) -> list[str]:
    """Reduced formulas, such as ``Li2O``, of formulas such as ``Li8 O4``."""
    reduced = reduce_composition(text_to_composition(list(formulas)))
    return composition_to_text(reduced, separator="", write_one=False)


def group_name(number: int) -> str:
    """A space group as symbol and number; empty where none is known."""
    return f"{space_group_symbol(number)} ({number})" if 1 <= number <= 230 else ""


def text_table(title: str, frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """A title and the first rows of a table.

    Args:
        title: in a line.
        frame: n rows.
        columns: names of those to show, where the table has them.
    """
    shown = _shown(frame, columns)
    text = (
        ""
        if shown.empty
        else "\n" + shown.to_string(float_format=_number, na_rep="", line_width=_WIDEST, max_rows=N_SHOWN)
    )
    return f"{title}{text}{_more(frame)}"


def html_table(title: str, frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """The same as HTML; see :func:`text_table`."""
    table = _shown(frame, columns).to_html(float_format=_number, na_rep="", border=0)
    return f"<p>{escape(title)}</p>{table}<p>{escape(_more(frame).strip())}</p>"


def _shown(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    names = [name for name in columns if name in frame.columns] or list(frame.columns)
    rows = frame[[name for name in names if frame[name].notna().any()]].head(N_SHOWN)
    if FORMULA in rows.columns and len(rows):
        rows = rows.assign(formula=reduced_formulas(rows[FORMULA].tolist()))
    if SPACE_GROUP in rows.columns:
        rows = rows.assign(space_group=[group_name(int(group)) for group in rows[SPACE_GROUP]])
    return rows


def _more(frame: pd.DataFrame) -> str:
    left = len(frame) - N_SHOWN
    return f"\n... and {left} more" if left > 0 else ""


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.4g}"
