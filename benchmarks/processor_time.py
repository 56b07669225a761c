"""Processor time of another process, which other programs on the machine do not lengthen as they do wall time."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def processor_time(pid: int | None) -> float:
    """Seconds of a process and of those that it started and waited for; 0 where it is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return sum(map(int, line.rpartition(")")[2].split()[11:15])) / _TICK
