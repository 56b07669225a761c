"""Structures as pymatgen's ``as_dict`` writes them, read without building any class that a file names."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.own_values import own_labels, own_name
from gflownet_crystal.data.rows import Row
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS

MATBENCH_COLUMNS = ("structure", "e_form")
"""Columns of MatBench's formation-energy JSON, given in its ``columns`` field; the second one may be missing."""

_HYDROGEN = ("D", "T")


def rows_of_json(path: Path, name: str) -> list[Row]:
    """All crystals of a JSON file.

    Args:
        path: ``.json`` or gzipped: a structure of pymatgen, an object with one under ``structure``, a list or an object
            of these by name, or MatBench's ``{"index", "columns", "data"}``.
        name: the beginning of the names of crystals that have none of their own.

    Raises:
        DataError: it is something else.
    """
    try:
        content = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
        value = json.loads(content)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path} as JSON: {str(error).splitlines()[0]}") from error
    rows = list(_rows(value, name))
    if not rows:
        raise DataError(
            f"{path} holds no structures: give one of pymatgen, a list of them, or a MatBench object with "
            '"index", "columns" (structure, e_form) and "data"'
        )
    return rows


def _rows(value: Any, name: str) -> Iterator[Row]:
    if isinstance(value, dict) and {"columns", "data"} <= set(value):
        yield from _matbench(value, name)
    elif _structure(value) is not None:
        yield _row(value, name)
    elif isinstance(value, list) and any(_structure(item) is not None for item in value):
        for number, item in enumerate(value):
            yield _row(item, f"{name}-{number}")
    elif isinstance(value, dict) and any(_structure(item) is not None for item in value.values()):
        for key, item in value.items():
            yield _row(item, str(key))


def _matbench(value: dict[str, Any], name: str) -> Iterator[Row]:
    columns, data = value["columns"], value["data"]
    if not isinstance(columns, list) or not isinstance(data, list) or MATBENCH_COLUMNS[0] not in columns:
        return
    index = value.get("index", list(range(len(data))))
    if not isinstance(index, list) or len(index) != len(data):
        return
    structure, label = (columns.index(key) if key in columns else None for key in MATBENCH_COLUMNS)
    for key, values in zip(index, data, strict=True):
        if not isinstance(values, list) or len(values) != len(columns):
            yield Row(f"{name}-{key}", reason=f"a row that has not {len(columns)} values")
            continue
        labels = {} if label is None else {ENERGY_COLUMN: values[label], "energy_source": "matbench"}
        yield _row_of_structure(values[structure or 0], f"{name}-{key}", labels)


def _structure(value: Any) -> dict[str, Any] | None:
    """The structure that a value is or has under that name."""
    if not isinstance(value, dict):
        return None
    inner = value.get("structure")
    if isinstance(inner, dict) and {"lattice", "sites"} <= set(inner):
        return inner
    return value if {"lattice", "sites"} <= set(value) else None


def _row(value: Any, name: str) -> Row:
    values = value if isinstance(value, dict) else {}
    return _row_of_structure(_structure(value), own_name(values) or name, own_labels(values))


def _row_of_structure(value: Any, name: str, columns: dict[str, Any]) -> Row:
    try:
        lattice = value["lattice"]
        cell = lattice["matrix"] if "matrix" in lattice else [lattice[key] for key in _PARAMETERS]
        sites = value["sites"]
        numbers = [_number(site["species"]) for site in sites]
        points = np.array([[float(x) for x in site["abc"]] for site in sites]).reshape(-1, 3)
    except DataError as error:
        return Row(name, reason=str(error), columns=columns)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        return Row(
            name, reason=f"not a pymatgen structure ({type(error).__name__}: {error})", columns=columns
        )
    return Row(name, cell, numbers, points, columns=columns)


_PARAMETERS = ("a", "b", "c", "alpha", "beta", "gamma")


def _number(species: Any) -> int:
    """The element that has a site to itself.

    Raises:
        DataError: several share it, it is partly empty, or the name is no element's.
    """
    if len(species) != 1:
        raise DataError("a site is shared by several elements; only ordered crystals can be used")
    only = species[0]
    if float(only.get("occu", 1.0)) != 1.0:
        raise DataError("a site is partly occupied; only ordered crystals can be used")
    symbol = only["element"]
    if symbol in _HYDROGEN:
        return 1
    if not isinstance(symbol, str) or symbol not in ATOMIC_NUMBERS:
        raise DataError(f"{symbol!r} is no element")
    return ATOMIC_NUMBERS[symbol]
