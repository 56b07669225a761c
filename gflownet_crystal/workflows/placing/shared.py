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
        made, lost = self._placed(frame, PIECE)
        if len(lost):
            again, lost = self._placed(lost, 1)
            made = pd.concat([made, again], ignore_index=True)
        if len(lost):
            sys.stderr.write(f"{len(lost)} specs get no atoms, as their workers died: {list(lost.index)}\n")
        return made

    def _placed(self, frame: pd.DataFrame, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Structures of specs, n specs at a time, and the specs whose worker died."""
        pieces = [frame.iloc[start : start + n] for start in range(0, len(frame), n)]
        found = dict(self.workers.run(pieces))
        tables = [found[place] for place in range(len(pieces))]
        made = [table for table in tables if not isinstance(table, Lost)]
        lost = [piece for piece, table in zip(pieces, tables, strict=True) if isinstance(table, Lost)]
        filled = [table for table in made if len(table)] or made[:1] or [pd.DataFrame(columns=list(SCREENED))]
        return pd.concat(filled, ignore_index=True), pd.concat(lost) if lost else frame.iloc[:0]


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
