"""One process a folder: an advisory lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gflownet_crystal.common.errors import ConfigError, DataError

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        # the holder's name, at the start of the file, has to stay readable to others
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = ".lock"
_FAR = 4096
_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
_FILE_SUFFIXES = (
    ".csv", ".parquet", ".json", ".jsonl", ".yaml", ".html", ".cif", ".xyz", ".extxyz", ".db", ".vasp",
    ".safetensors", ".pt", ".txt",
)  # fmt: skip


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a folder; it is made if missing, and goes again if nothing was put in it.

    Args:
        folder: folder to hold.

    Raises:
        ConfigError: another process holds it, or it is a file or named like one.
        DataError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder")
    if not folder.exists() and folder.suffix.lower() in _FILE_SUFFIXES:
        raise ConfigError(
            f"{folder} is named like a file, and a folder is needed; give one without {folder.suffix}"
        )
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _open(folder)
    except OSError as error:
        _remove_empty(missing)
        raise DataError(f"cannot write {folder}: {error.strerror or error}; give another folder") from error
    try:
        yield
    finally:
        # while it is still held: whoever opened the file before finds that it is gone, and makes a new one
        (folder / LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        _remove_empty(missing)


def _open(folder: Path) -> int:
    """A descriptor of the folder's lock file, which holds the lock."""
    path = folder / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(descriptor)
            if _is_there(descriptor, path):
                break
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            if error.errno in _HELD:
                raise ConfigError(
                    f"{folder} is in use by {holder}, which is writing to it; wait for it, or give another folder"
                ) from error
            raise
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
    return descriptor


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        pid, host = os.read(descriptor, 300).decode(errors="replace").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {pid} on {host}"


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as far as they are empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
