"""Training metrics as JSON lines: one line a step, cut back to the checkpoint on resume."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gflownet_crystal.common.errors import DataError


class MetricsFile:
    """An append-only JSON-lines file that knows how many bytes of it are settled.

    Args:
        path: of the file.
        offset: bytes to keep; what follows them is cut, so that no step appears twice after a resume.

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
        """Force what was written to disk and return the file's length in bytes."""
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
        """Say of which file an error of the disk is.

        Raises:
            DataError: the disk is full, or the file cannot grow.
        """
        try:
            yield
        except OSError as error:
            raise DataError(
                f"cannot write {self._path}: {error.strerror or error}; what was written before is kept"
            ) from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All records of a metrics file; a last line that was cut off by a kill is left out.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    # what follows the last newline was not written to its end
    return [json.loads(line) for line in lines[:-1]]
