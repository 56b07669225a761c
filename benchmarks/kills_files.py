"""Result files as :mod:`benchmarks.kills` compares them: everything but times and rates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from gflownet_crystal.common.files import load_tensors

# the length of metrics.jsonl depends on the digits of its rates, and a checksum on both
_TIMES = re.compile(r"seconds|.*_seconds|.*_per_second|checksum|metrics_offset")
_WORDS = ("resume", "overwrite")


def files_of(folder: Path) -> list[Path]:
    """Files of a folder but those with a dot, which are halves and locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(found)


def contents(folder: Path) -> dict[str, object]:
    """Contents of all files of a folder, by name."""
    return {str(path.relative_to(folder)): content(path) for path in files_of(folder)}


def content(path: Path) -> object:
    """Content of a file without times, as a value that can be compared."""
    if path.suffix == ".safetensors":
        tensors, metadata = load_tensors(path)
        digests = {name: _digest(tensor.numpy().tobytes()) for name, tensor in tensors.items()}
        return digests, {key: _timeless(json.loads(value)) for key, value in metadata.items()}
    if path.suffix == ".json":
        # seconds of the stages of a pipeline
        return None if path.stem == "seconds" else _timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_timeless(json.loads(line)) for line in lines]
    if path.suffix == ".yaml":
        return _timeless(yaml.safe_load(path.read_text(encoding="utf-8")))
    if path.suffix == ".parquet":
        return _table(pd.read_parquet(path))
    if path.suffix == ".csv":
        return _table(pd.read_csv(path, dtype=str, keep_default_na=False))
    return _digest(path.read_bytes())


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end; of JSON lines, all but the last, which may be cut."""
    try:
        if path.suffix == ".jsonl":
            lines = path.read_bytes().split(b"\n")[:-1]
            return all(isinstance(json.loads(line), dict) for line in lines)
        if path.suffix == ".png":
            return path.read_bytes().rstrip().endswith(b"IEND\xaeB`\x82")
        if path.suffix in (".cif", ".extxyz"):
            return path.read_bytes().endswith(b"\n")
        content(path)
    except (ValueError, OSError):
        return False
    return True


def difference(whole: Mapping[str, object], resumed: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Names of files that the resumed run lacks, and of those that differ or are too many."""
    lost = sorted(whole.keys() - resumed.keys())
    extra = sorted(resumed.keys() - whole.keys())
    return lost, [
        *extra,
        *(name for name in sorted(whole.keys() & resumed.keys()) if whole[name] != resumed[name]),
    ]


def _table(frame: pd.DataFrame) -> list[object]:
    kept = [name for name in frame.columns if not _TIMES.fullmatch(str(name))]
    return [
        list(map(str, kept)),
        frame[kept].to_json(double_precision=15, orient="values"),
        _bits(frame[kept]),
    ]


def _bits(frame: pd.DataFrame) -> str:
    numbers = frame.select_dtypes("number")
    return _digest(b"".join(numbers[name].to_numpy().tobytes() for name in numbers.columns))


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(key): _timeless(inner)
            for key, inner in value.items()
            if not _TIMES.fullmatch(str(key)) and str(key) not in _WORDS
        }
    if isinstance(value, list):
        return [
            _timeless(inner) for inner in value if not str(inner).startswith(tuple(f"{w}=" for w in _WORDS))
        ]
    return value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
