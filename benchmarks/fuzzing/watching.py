"""Where a process writes: told by the interpreter's audit events, and seen by comparing folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAKING = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1, "os.truncate": 0}
_REMOVING = {"os.remove": 0, "os.rmdir": 0, "os.rename": 0, "shutil.rmtree": 0}
_STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pty.spawn")
_FREE = ("/dev/", "/proc/")


class Watch:
    """Records of paths written and removed, and of programs started, by this process.

    An audit hook stays until the process ends: made in a process that is there for the cases alone.
    """

    def __init__(self) -> None:
        self.written: list[str] = []
        self.removed: list[str] = []
        self.started: list[str] = []
        self._on = False
        sys.addaudithook(self._on_event)

    def begin(self) -> None:
        """Clear the records and record from now on."""
        self.written, self.removed, self.started = [], [], []
        self._on = True

    def end(self) -> None:
        """Record no more."""
        self._on = False

    def outside(self, allowed: Iterable[Path]) -> list[str]:
        """Paths that were written and are still there, or were removed and had been there, not in ``allowed``."""
        folders = [os.path.realpath(path) for path in allowed]
        left = [path for path in self.written if os.path.lexists(path)]
        # files that were made and removed again, as temporary ones, leave nothing
        gone = [path for path in self.removed if path not in self.written]
        return sorted({path for path in left + gone if not _within(path, folders)})

    def _on_event(self, event: str, given: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            path, _, flags = given
            if isinstance(flags, int) and flags & _WRITES:
                self._note(self.written, path)
        elif event in _STARTING:
            self.started.append(f"{event} {given[0]}")
        # a folder that is there already is asked for too, and refused
        if event in _MAKING and not (event == "os.mkdir" and os.path.lexists(given[0])):
            self._note(self.written, given[_MAKING[event]])
        if event in _REMOVING:
            self._note(self.removed, given[_REMOVING[event]])

    def _note(self, paths: list[str], path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.path.realpath(os.fsdecode(path))
        if not text.startswith(_FREE):
            paths.append(text)


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}{os.sep}") for folder in folders)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file of a folder and of its subfolders."""
    found = {}
    for path in folder.rglob("*"):
        state = path.lstat()
        found[str(path.relative_to(folder))] = (state.st_size, 0 if path.is_dir() else state.st_mtime_ns)
    return {name: (0, 0) if (folder / name).is_dir() else state for name, state in found.items()}


def changed(before: dict[str, tuple[int, int]], folder: Path, allowed: Iterable[str]) -> list[str]:
    """Names in a folder that came, went or changed since ``before``, those within ``allowed`` left out."""
    after = contents(folder)
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return sorted(name for name in names if not _within(name, allowed))
