"""Training metrics as JSON lines: one line a step, cut back to the checkpoint on resume."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gflownet_crystal.common.errors import CheckpointError, DataError
from gflownet_crystal.common.files import read_bytes


class MetricsFile:
    """An append-only JSON-lines file with a count of the bytes that are settled on disk.

    Args:
        path: path of the file.
        offset: number of bytes to keep; later ones are cut, so that no step appears twice after a resume.

    Raises:
        DataError: the file cannot be written.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab")  # noqa: SIM115 - lives as long as the training
            if os.path.getsize(path) > offset:
                self._file.truncate(offset)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; numbers that are not finite are written as null, which JSON has."""
        finite = {
            key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in record.items()
        }
        with self._told():
            self._file.write(json.dumps(finite).encode() + b"\n")
            self._file.flush()

    def settle(self) -> int:
        """Force the records to disk and return the file's length in bytes."""
        with self._told():
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        with self._told():
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of which file an error of the disk is."""
        try:
            yield
        except OSError as error:
            raise DataError(
                f"cannot write {self._path}: {error.strerror or error}; earlier lines are kept"
            ) from error


def reopened(path: Path) -> tuple[MetricsFile, list[dict[str, Any]]]:
    """A file to append to, less a last line that was cut off by a kill, and the records that it holds.

    Raises:
        DataError: the file cannot be read or written, or a line is damaged.
    """
    whole = path.read_bytes().rfind(b"\n") + 1 if path.is_file() else 0
    return MetricsFile(path, whole), read_metrics(path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All records of a metrics file; a last line that was cut off by a kill is left out.

    Raises:
        DataError: the file cannot be read, or a line is damaged.
    """
    return _records(path, read_bytes(path))


def note_on_steps(path: Path, records: list[dict[str, Any]]) -> str | None:
    """One line on records of a training that lack their step, which figures leave out; None where none does."""
    lacking = sum("step" not in record for record in records)
    if not lacking:
        return None
    return f"{path} is damaged: {lacking} of {len(records)} records have no step; figures leave these out"


def settled_length(path: Path, offset: int) -> int:
    """Bytes of a metrics file to keep where a training goes on from a checkpoint, after a look at all of them.

    Args:
        path: path of the file.
        offset: its length when the checkpoint was written.

    Returns:
        ``offset``, or 0 if the file is empty: the user did without the earlier records.

    Raises:
        CheckpointError: the file is missing, too short, or a line is damaged.
    """
    without = f"to go on without the records so far, leave an empty file there (: > {path})"
    if offset and not path.is_file():
        raise CheckpointError(
            f"{path} is missing, which holds the training's records; restore it, or {without}"
        )
    if not offset or not (content := read_bytes(path)):
        return 0
    try:
        if len(content) < offset or content[offset - 1 : offset] != b"\n":
            raise DataError(
                f"{path} is damaged: it does not hold the {offset} bytes of the checkpoint's time"
            )
        _records(path, content[:offset])
    except DataError as error:
        raise CheckpointError(f"{error}; restore it, or {without}") from error
    return offset


def _records(path: Path, content: bytes) -> list[dict[str, Any]]:
    records = []
    # the text after the last newline is incomplete
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged: line {number} is not JSON") from error
        if not isinstance(record, dict):
            raise DataError(f"{path} is damaged: line {number} is no record")
        records.append(record)
    return records
