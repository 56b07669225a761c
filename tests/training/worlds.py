"""A world of two threads in place of two processes: quick, where only the averages matter."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from gflownet_crystal.training.distributed import World

Result = TypeVar("Result")


@dataclass(frozen=True)
class ThreadWorld(World):
    """One of the threads of a training.

    Attributes:
        meeting: place where the threads wait for each other.
        given: tensors that they exchange, by rank.
    """

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    given: dict[int, Tensor] = field(default_factory=dict)

    def mean(self, values: Tensor) -> Tensor:
        return torch.stack(self._exchanged(values)).mean(0)

    def gather(self, values: Tensor) -> Tensor:
        return torch.cat(self._exchanged(values))

    def wait(self) -> None:
        self.meeting.wait()

    def _exchanged(self, values: Tensor) -> list[Tensor]:
        self.given[self.rank] = values.detach().clone()
        self.meeting.wait()
        found = [self.given[rank] for rank in range(self.size)]
        self.meeting.wait()
        return found


def in_two_threads(work: Callable[[World], Result]) -> list[Result]:
    """The results of two threads that work together, by rank."""
    meeting, given = threading.Barrier(2, timeout=60.0), dict[int, Tensor]()
    worlds = [ThreadWorld(rank, 2, meeting, given) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, worlds))
