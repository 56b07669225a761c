"""Names and labels that files keep beside a structure, under the names of the package's schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gflownet_crystal.data.rows import Row
from gflownet_crystal.data.schema import ENERGY_COLUMN, PROVENANCE_COLUMNS

_NAMES = ("material_id", "entry_id", "name")
_LABELS = (ENERGY_COLUMN, "energy_source", *PROVENANCE_COLUMNS)


def own_name(values: Mapping[str, object]) -> str:
    """The name of a structure among its values; empty if there is none."""
    given = [str(values[key]) for key in _NAMES if isinstance(values.get(key), str | int | float)]
    return next((name for name in given if name), "")


def own_labels(values: Mapping[str, object]) -> dict[str, object]:
    """Labels of a structure, and where they come from."""
    return {name: values[name] for name in _LABELS if name in values}


def named_apart(rows: Sequence[Row], name: str) -> list[Row]:
    """Rows with the names that they have, if these tell them apart; else all are numbered.

    Args:
        rows: rows of one file; those without a name have an empty one.
        name: beginning of the names of rows without one.
    """
    count = Counter(row.name for row in rows if row.name)
    numbered = max(count.values(), default=0) > 1
    return [
        row if row.name and not numbered else replace(row, name=f"{name}-{number}")
        for number, row in enumerate(rows)
    ]
