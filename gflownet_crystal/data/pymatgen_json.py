"""Structures as pymatgen's ``as_dict`` writes them, read without building any class that a file names."""

from __future__ import annotations

import gzip
import json
import re
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

_LABELS = {"e_form": ENERGY_COLUMN, "gap pbe": "band_gap"}
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
    if not _are_names(columns) or not isinstance(data, list) or MATBENCH_COLUMNS[0] not in columns:
        return
    index = value.get("index", list(range(len(data))))
    if not isinstance(index, list) or len(index) != len(data):
        return
    for key, values in zip(index, data, strict=True):
        yield _matbench_row(values, columns, f"{name}-{key}")


def _are_names(columns: Any) -> bool:
    return isinstance(columns, list) and all(isinstance(name, str) for name in columns)


def _matbench_row(values: Any, columns: list[str], name: str) -> Row:
    """The crystal of a row of a MatBench table, with its labels."""
    if not isinstance(values, list) or len(values) != len(columns):
        return Row(name, reason=f"a row that has not {len(columns)} values")
    given = dict(zip(columns, values, strict=True))
    structure = given.pop(MATBENCH_COLUMNS[0])
    labels = {_LABELS.get(key, key): value for key, value in given.items()}
    source = {"energy_source": "matbench"} if ENERGY_COLUMN in labels else {}
    return row_of_structure(structure, name, labels | source)


def matbench_rows(path: Path, name: str) -> Iterator[Row]:
    """Crystals of a MatBench file one after the other, which takes a tenth of the memory of the whole as objects.

    Args:
        path: gzipped JSON file of ``{"index", "columns", "data"}`` in this order.
        name: beginning of the names of crystals whose index is a number.

    Raises:
        DataError: the file is damaged or something else.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            text = file.read()
        header, place = _until_data(text)
        columns, index = header["columns"], header["index"]
        if not _are_names(columns) or MATBENCH_COLUMNS[0] not in columns:
            raise KeyError(MATBENCH_COLUMNS[0])
        for key, values in zip(index, _items(text, place), strict=True):
            yield _matbench_row(values, columns, key if isinstance(key, str) else f"{name}-{key}")
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"cannot read {path} as a MatBench file: {str(error).splitlines()[0]}") from error


_SPACE = re.compile(r"[\s,:]*")


def _until_data(text: str) -> tuple[dict[str, Any], int]:
    """Entries of a JSON object before ``data``, and the place of the value of ``data``."""
    decoder = json.JSONDecoder()
    header: dict[str, Any] = {}
    place = text.index("{") + 1
    while True:
        key, place = decoder.raw_decode(text, _after_space(text, place))
        place = _after_space(text, place)
        if key == "data":
            return header, place
        header[str(key)], place = decoder.raw_decode(text, place)


def _items(text: str, place: int) -> Iterator[Any]:
    """Items of the JSON list that begins at a place."""
    decoder = json.JSONDecoder()
    place = _after_space(text, text.index("[", place) + 1)
    while text[place : place + 1] != "]":
        item, place = decoder.raw_decode(text, place)
        yield item
        place = _after_space(text, place)


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


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
    return row_of_structure(_structure(value), own_name(values) or name, own_labels(values))


def row_of_structure(value: Any, name: str, columns: dict[str, Any]) -> Row:
    """The crystal of a structure as pymatgen's ``as_dict`` writes it, or the reason why there is none.

    Args:
        value: mapping with ``lattice`` and ``sites``.
        name: name of the crystal.
        columns: its labels.
    """
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
    """The element that has a site to itself."""
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
