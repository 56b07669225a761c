"""Wait policy of OpenMP's threads, which is read once, when PyTorch is loaded."""

from __future__ import annotations

import os
import sys

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says it."""


def let_threads_sleep() -> None:
    """Have threads sleep where they wait, unless the user's environment says how, or PyTorch is loaded already.

    By default they spin. Where other processes want the cores too, the thread that is waited for has none while the
    others spin, and every operation takes a time slice of the operating system.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
