"""Files that appear whole or not at all, and tensors read without ever unpickling."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file, save_file
from torch import Tensor

from gflownet_crystal.common.errors import DataError, WeightsError


class TemporaryFolder:
    """Folder that is removed together with this object, at the latest when Python ends.

    Unlike ``tempfile.TemporaryDirectory``, which warns when nobody closed it: this folder belongs to an object that
    users simply drop.

    Attributes:
        path: path of the folder.

    Raises:
        DataError: the folder cannot be made.
    """

    def __init__(self) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="gflownet_crystal_"))
        except OSError as error:
            raise DataError(f"cannot make a temporary folder: {error.strerror or error}") from error
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it is flushed to disk and renamed to ``path``.

    Args:
        path: path of the finished file; its folder is made if missing.

    Yields:
        A path to write to. It keeps the suffix of ``path``, which some writers look at.

    Raises:
        DataError: the folder cannot be made or written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _apply_umask(temporary)
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _apply_umask(path: Path) -> None:
    # mkstemp makes files only their owner can read; results are meant to be shared as any other file
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text_if_new(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; a file that holds it already is left as it is."""
    target = Path(path)
    try:
        held = target.read_bytes() if target.is_file() else None
    except OSError:
        held = None
    if held != text.encode():
        write_text(target, text)


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise DataError(f"cannot read {path} as JSON: it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} as JSON: {error}") from error


def save_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors (and text metadata) as one safetensors file, atomically."""
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=dict(metadata or {}))
        except safetensors.SafetensorError as error:
            # a disk that is full, a file larger than allowed
            raise DataError(f"cannot write {path}: {error}; earlier files are as they were") from error


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of :func:`save_tensors`.

    Returns:
        The tensors by name, on the CPU, and the metadata.

    Raises:
        WeightsError: the file is missing or not a whole safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
        return load_file(path), metadata
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"cannot read tensors from {path}: {error}; restore or retrain the file"
        ) from error
