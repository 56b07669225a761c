"""Placing shared among workers: a batch of specs in pieces, as the atoms of a spec do not depend on its batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Protocol

import numpy as np
import pandas as pd

from gflownet_crystal.common.executors import Executor
from gflownet_crystal.common.units import Lost, Workers, open_workers
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.placing.placing import SCREENED, Placer

PIECE = 32
"""Most specs of a piece: in one of 16, a spec takes 1.3 times the time that it takes in a large batch."""

_PIECES, _FEWEST = 2, 4
"""Pieces of a small batch, and the specs that each has at least; workers are not counted, so they change no digit."""


class Places(Protocol):
    """Puts atoms into specs."""

    def place(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Structures of specs; see :meth:`gflownet_crystal.workflows.placing.placing.Placer.place`."""


@dataclass(frozen=True)
class SharedPlacer:
    """Puts atoms into specs, with workers.

    Attributes:
        workers: workers that hold the placer.
    """

    workers: Workers[pd.DataFrame, pd.DataFrame]

    def place(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The best structure of each spec that could be placed; one that kills its worker is left out, with a line."""
        tables, lost = [], []
        for piece, found in self.workers.run_divisible(pieces(frame), _each):
            if isinstance(found, Lost):
                lost += piece.index.tolist()
            else:
                tables.append(found)
        if lost:
            sys.stderr.write(f"{len(lost)} specs get no atoms, as their workers died: {sorted(lost)}\n")
        filled = [table for table in tables if len(table)] or [pd.DataFrame(columns=list(SCREENED))]
        made = pd.concat(filled, ignore_index=True)
        return made.iloc[frame.index.get_indexer(made["row"]).argsort()].reset_index(drop=True)


def pieces(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Specs in pieces of about equal numbers of specs and of atoms, so that workers finish at about the same time."""
    n = max(ceil(len(frame) / PIECE), min(_PIECES, len(frame) // _FEWEST), 1)
    largest_first = frame_to_specs(frame).n_atoms.argsort(descending=True, stable=True).numpy()
    # dealt as cards, there and back
    round_of, turn = np.divmod(np.arange(len(frame)), n)
    hand = np.where(round_of % 2 == 0, turn, n - 1 - turn)
    return [frame.iloc[np.sort(largest_first[hand == number])] for number in range(n)]


def _each(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [frame.iloc[row : row + 1] for row in range(len(frame))]


@contextmanager
def shared(placer: Placer, executor: Executor) -> Iterator[Places]:
    """A placer, shared among the workers of an executor.

    Args:
        placer: puts atoms into specs; picklable where that is done in another process.
        executor: place of the work.
    """
    if executor.in_process:
        yield placer
        return
    with open_workers(partial(_place_of, placer), executor) as workers:
        yield SharedPlacer(workers)


def _place_of(placer: Placer) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return placer.place
