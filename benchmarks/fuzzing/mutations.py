"""Damage to files: of their bytes, their text, and the values that JSON, YAML, tables and tensors hold."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TOKENS = (
    "NaN", "nan", "inf", "-inf", "-1", "0", "-0.0", "1e308", "-1e308", "1e400", "1e-320", "1e8", "", "?", ".", "-",
    "99999999999999999999", "9223372036854775808", "null", "true", "[]", "{}", "é", "\u2028", "\x00", "'", '"', ";",
    "loop_", "data_", "1.5", "0.5(1)", "(3)", "119", "231", "X", "D", "Na+", "[225]", "Fm-3m", "a b", "#", "${seed}",
    "${oc.env:HOME}", "!!python/object:os.system", "&a [*a]", "1_000", "0x10", "1e3", "٣",
)  # fmt: skip
"""Words that readers have tripped over."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 119, 231, 1.5, -2.5, float("nan"), float("inf"), 1e308, 1e-320, 10**20, 2**63, "",
    "x", "NaN", "1", "é", [], {}, [1], [[]], [None], {"a": 1}, [1, "a"], ["Na"], [float("nan")] * 3, "Na1 Cl1", [0, 0],
)  # fmt: skip
"""Values of wrong types and sizes."""

_WORD = re.compile(r"""[^\s,;:=\[\]{}()"']+""")
_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp1252")


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes cut short, flipped, removed, doubled, inserted or replaced altogether."""
    if not data:
        return rng.randbytes(rng.randrange(20))
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((1, 2, 4, 16, 64)))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: data[:start],
        lambda: _flipped(data, rng),
        lambda: data[:start] + data[end:],
        lambda: data[:end] + data[start:end] * rng.choice((1, 3, 50)) + data[end:],
        lambda: data[:start] + rng.randbytes(end - start) + data[end:],
        lambda: data[:start] + rng.randbytes(rng.choice((1, 8))) + data[start:],
        lambda: data[:start] + bytes(len(data) - start),
        lambda: rng.choice((b"", b"\x00", b"\n", rng.randbytes(30), bytes(len(data)), data + data)),
    )
    return rng.choices(ways, (3, 4, 2, 2, 2, 1, 1, 1))[0]()


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def damage_text(text: str, rng: random.Random) -> bytes:
    """Text with words replaced, exchanged or removed, lines lost, doubled or out of order, or in another encoding."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        way = rng.choices(("word", "swap", "lines", "case"), (10, 2, 4, 1))[0]
        text = {"word": _word, "swap": _swap, "lines": _lines, "case": _case}[way](text, rng)
    if rng.random() < 0.06:
        return text.encode(rng.choice(_ENCODINGS), "replace")
    return text.encode("utf-8", "replace")


def _word(text: str, rng: random.Random) -> str:
    words = list(_WORD.finditer(text))
    if not words:
        return rng.choice(TOKENS)
    word = rng.choice(words)
    if rng.random() < 0.2 and (digits := list(re.finditer(r"\d", word[0]))):
        place = word.start() + rng.choice(digits).start()
        return text[:place] + rng.choice(("9", "-", ".", "e", "")) + text[place + 1 :]
    return text[: word.start()] + rng.choice(TOKENS) + text[word.end() :]


def _swap(text: str, rng: random.Random) -> str:
    words = list(_WORD.finditer(text))
    if len(words) < 2:
        return text
    first, second = sorted(rng.sample(words, 2), key=lambda word: word.start())
    between = text[first.end() : second.start()]
    return text[: first.start()] + second[0] + between + first[0] + text[second.end() :]


def _lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(4)
    if way == 0:
        del lines[place]
    elif way == 1:
        lines.insert(place, lines[place])
    elif way == 2:
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines.insert(place, rng.choice(TOKENS))
    return "\n".join(lines)


def _case(text: str, rng: random.Random) -> str:
    return rng.choice((text.upper(), text.lower(), text.replace("\n", "\r\n"), text.replace("\n", "\r")))


def damage_value(value: Any, rng: random.Random) -> Any:
    """Nested dictionaries and lists with one of their values replaced, removed, doubled or renamed."""
    places = _places(value) if isinstance(value, dict | list) else []
    if not places or rng.random() < 0.02:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    way = rng.choices(("replace", "remove", "rename", "nest"), (10, 3, 1, 1))[0]
    if way == "replace":
        holder[key] = rng.choice(VALUES)
    elif way == "remove":
        del holder[key]
    elif way == "nest":
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    elif isinstance(holder, dict):
        holder[rng.choice(TOKENS)] = holder.pop(key)
    else:
        holder.append(holder[key])
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each holder and key of nested values."""
    inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    found = [(value, key) for key, _ in inner]
    for _, held in inner:
        if isinstance(held, dict | list):
            found += _places(held)
    return found


def damage_json(text: str, rng: random.Random) -> bytes:
    """JSON text with a value that its readers do not expect."""
    try:
        value = json.loads(text)
    except ValueError:
        # an earlier damage left no JSON
        return text.encode()
    return json.dumps(damage_value(value, rng)).encode()


def damage_frame(frame: pd.DataFrame, rng: random.Random) -> pd.DataFrame:
    """A table with a column dropped, renamed, doubled or retyped, or with a strange value in one of its cells."""
    if frame.empty:
        return frame
    frame, place = frame.copy(), rng.randrange(frame.shape[1])
    column = str(frame.columns[place])
    way = rng.choices(
        ("cell", "entry", "column", "drop", "rename", "double", "empty"), (8, 8, 3, 2, 1, 1, 1)
    )[0]
    if way == "drop":
        return frame.drop(columns=frame.columns[place])
    if way == "rename":
        return frame.rename(
            columns={frame.columns[place]: rng.choice((f"{column} ", column.upper(), "x", ""))}
        )
    if way == "double":
        return pd.concat([frame, frame.iloc[:, [place]]], axis=1)
    if way == "empty":
        return frame.iloc[: rng.choice((0, 1))]
    values, row = list(frame.iloc[:, place]), rng.randrange(len(frame))
    if way == "column":
        values = [rng.choice(VALUES)] * len(values)
    elif way == "entry" and isinstance(values[row], np.ndarray | list) and len(values[row]):
        values[row] = _damaged_row(values[row], rng)
    else:
        values[row] = rng.choice(VALUES)
    # by place: names may be there twice
    parts = [frame.iloc[:, other] for other in range(frame.shape[1])]
    parts[place] = pd.Series(values, index=frame.index, dtype=object, name=frame.columns[place])
    return pd.concat(parts, axis=1)


def _damaged_row(values: Any, rng: random.Random) -> list[Any]:
    row = list(np.asarray(values, dtype=object))
    place = rng.randrange(len(row))
    if rng.random() < 0.3:
        return rng.choice((row[:place], [*row, row[place]], []))
    numbers = (
        float("nan"),
        float("inf"),
        0.0,
        -1.0,
        1e308,
        1e8,
        1e-9,
        180.0,
        119.0,
        1.5,
        2**63,
        200.0,
    )
    row[place] = rng.choice(numbers)
    return row


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table whose columns may hold anything; values that the format cannot hold together become texts."""
    try:
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    except Exception:  # Arrow refuses columns of several types, each in its own way
        texts = {name: frame.iloc[:, place].map(str) for place, name in enumerate(map(str, frame.columns))}
        pd.DataFrame(texts).to_parquet(path, index=False)
