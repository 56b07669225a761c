"""One execution of the fuzzer: a command on damaged inputs, in a folder of its own."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INPUTS, OUT, HOME = "in", "out", "home"
"""Folders of a case: inputs of the command, its output, and the home directory while it runs."""


@dataclass(frozen=True)
class Case:
    """A command, or a reader, and the paths that it may touch.

    Attributes:
        words: of the command line, or a description of the reader.
        outputs: paths that it may write to, relative to the folder of the case.
        read: called in place of the command; returns crystals, see :func:`benchmarks.fuzzing.crystals.impossible`.
        close_atoms: whether crystals with atoms nearer than 0.5 Å may be returned, as by readers of structures to
            judge.
    """

    words: tuple[str, ...]
    outputs: tuple[str, ...] = (OUT,)
    read: Callable[[], Any] | None = None
    close_atoms: bool = False


Maker = Callable[[random.Random, Path, Path], Case]
"""Makes a case from a stream of random numbers, the folder of valid inputs and the folder of the case."""


def stream(seed: int, target: str, number: int) -> random.Random:
    """Random numbers of one case: the same in every process and for every number of workers."""
    return random.Random(f"{seed}/{target}/{number}")
