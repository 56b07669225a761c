"""Several processes that train one model, started by ``torchrun``: each has its own batch, gradients are averaged.

All processes hold the same weights, optimiser state and replay buffer. They differ in their random numbers, and in
their part of each batch of data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from gflownet_crystal.envs.base import Context

_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class World:
    """The processes of a training.

    Attributes:
        rank: rank of this process, from 0; rank 0 writes all files.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints messages."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Average of a tensor over the processes."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace the gradients of all processes by their average, in one message."""
        if self.size == 1:
            return
        # a parameter that this process did not use still counts, with zero
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = self.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = flat.split([gradient.numel() for gradient in gradients])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.reshape(parameter.shape)

    def part(self, rows: Tensor) -> tuple[Tensor, float]:
        """This process's part of the rows of a batch of data, and the weight of its mean in the mean over all rows.

        Args:
            rows: (b,) rows of the batch, the same in all processes; b is at least 1.

        Returns:
            Its rows, at least one, and their weight: the average of weighted means over the processes is the mean over
            all rows. The weight is 0 where there are too few rows.
        """
        if self.size == 1:
            return rows, 1.0
        own = rows[self.rank :: self.size]
        return own if len(own) else rows[:1], self.size * len(own) / len(rows)

    def gather(self, values: Tensor) -> Tensor:
        """Rows of all processes in order of rank; each must give equally many."""
        if self.size == 1:
            return values
        sent = values.contiguous().to(torch.uint8) if values.dtype == torch.bool else values.contiguous()
        received = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(received, sent)
        return torch.cat(received).to(values.dtype)

    def total(self, counts: Sequence[int], device: torch.device) -> list[int]:
        """Sums over the processes of numbers that each knows."""
        if self.size == 1:
            return list(counts)
        sums: list[int] = self.gather(torch.tensor([counts], device=device)).sum(dim=0).tolist()
        return sums

    def gather_context(self, context: Context) -> Context:
        """The terminal states of all processes."""
        if self.size == 1:
            return context
        states = tuple(state.map(self.gather) for state in context.states)
        condition = None if context.condition is None else self.gather(context.condition)
        return Context(self.size * context.n, context.device, states, condition)

    def any(self, wish: bool, device: torch.device) -> bool:
        """Whether any process says yes."""
        return wish if self.size == 1 else bool(self.mean(torch.tensor(float(wish), device=device)) > 0.0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join_world() -> Iterator[World]:
    """The world that ``torchrun`` started this process in; of size 1 without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or dist.is_initialized():
        yield World()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # tensors go by the backend of their device
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
