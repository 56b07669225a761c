"""Placing shared among workers: a batch of specs in pieces, as the atoms of a spec do not depend on its batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pandas as pd

from gflownet_crystal.common.executors import Executor
from gflownet_crystal.common.units import Lost, Workers, open_workers
from gflownet_crystal.workflows.placing.placing import SCREENED, Placer

PIECE = 4
"""Specs of a piece, whatever the number of workers, so that it changes no last digit."""


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
        for piece, found in self.workers.run_divisible(_pieces(frame, PIECE), partial(_pieces, n=1)):
            if isinstance(found, Lost):
                lost.append(piece.index[0])
            else:
                tables.append(found)
        if lost:
            sys.stderr.write(f"{len(lost)} specs get no atoms, as their workers died: {sorted(lost)}\n")
        filled = [table for table in tables if len(table)] or [pd.DataFrame(columns=list(SCREENED))]
        made = pd.concat(filled, ignore_index=True)
        return made.iloc[frame.index.get_indexer(made["row"]).argsort()].reset_index(drop=True)


def _pieces(frame: pd.DataFrame, n: int) -> list[pd.DataFrame]:
    """Specs, n at a time."""
    return [frame.iloc[start : start + n] for start in range(0, len(frame), n)]


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
