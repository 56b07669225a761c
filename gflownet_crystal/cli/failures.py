"""Failures of the machine rather than of the settings: memory, disk, threads, a folder that is gone."""

from __future__ import annotations

import errno
import re

_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|can.?t allocate memory|cannot allocate memory|bad_?alloc"
    r"|storage size calculation overflowed|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_NO_THREAD = re.compile(r"can.?t start new thread|thread creation failed", re.IGNORECASE)
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up",
         errno.EFBIG: "the file is larger than allowed here"}  # fmt: skip
_KEPT = "files written before are kept, and where a run was under way resume=true goes on with it"


def machine_failure(error: BaseException) -> str | None:
    """The line that tells a failure of the machine; None for any other error.

    Args:
        error: that ended a verb.
    """
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        # torch's own error for a GPU is a RuntimeError too
        where = "the GPU is out of memory" if "CUDA" in text else "out of memory"
        return f"{where}: give smaller batches, fewer atoms or processes; {_KEPT}"
    if isinstance(error, RuntimeError) and _NO_THREAD.search(text):
        return f"no more threads can be started here: give fewer threads and processes; {_KEPT}"
    if isinstance(error, OSError):
        reason = (
            _FULL.get(error.errno or 0) or error.strerror or text.partition("\n")[0] or type(error).__name__
        )
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{reason}; {_KEPT}"
    return None
