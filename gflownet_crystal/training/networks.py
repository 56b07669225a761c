"""Training of networks on atoms: batches of about equally many atoms, averaged weights, validation between epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar

import torch
from torch import Tensor, nn

from gflownet_crystal.common.devices import autocast
from gflownet_crystal.models.layers.compiling import compile_kernels
from gflownet_crystal.structures.batching import BucketedBatches
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.distributed import World
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.random_states import stream
from gflownet_crystal.training.settings import LoopSettings


class Task(ABC):
    """Learning task of a network.

    Attributes:
        model: the network, on its device.
        sizes: (n,) int64 on the CPU, atoms of each training structure; 1 each where batches have a fixed size.
        progress: share of the training that is over, set before each step.
    """

    model: nn.Module
    sizes: Tensor
    progress: float = 0.0

    @abstractmethod
    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalar losses of a batch by name; their sum is minimised.

        Args:
            rows: (b,) int64 training structures.
            generator: random generator on the CPU for the draws of the task; it depends on seed and step only.
        """

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures of the model as it is, by name."""


class NetworkTraining(Training):
    """Training of the model of a task.

    Args:
        task: task to learn.
        settings: settings of the training.
        seed: random seed of order and draws.
        world: processes that train together, each on its share of every batch; this one alone if None.
    """

    items: ClassVar[str] = "structures"
    advice: ClassVar[str] = "lower loop.learning_rate"

    def __init__(self, task: Task, settings: LoopSettings, seed: int = 0, world: World | None = None) -> None:
        self.world = world or World()
        self.task, self.settings, self.seed, self.model = task, settings, seed, task.model
        self.losses = task.losses
        if settings.compile and not compile_kernels(task.model):
            self.losses = torch.compile(task.losses, dynamic=True)
        parameters = list(task.model.parameters())
        groups = [
            {"params": [one for one in parameters if one.dim() > 1], "weight_decay": settings.weight_decay},
            {"params": [one for one in parameters if one.dim() <= 1], "weight_decay": 0.0},
        ]
        adam = torch.optim.AdamW(groups, settings.learning_rate, fused=True)
        self.optimizer = Optimizer(task.model, adam, settings.clip_norm, average=settings.ema)
        # batches of all processes together
        self.batches = BucketedBatches(task.sizes, self.world.size * settings.atoms, seed)
        epochs = range(settings.epochs)
        # steps before the end of each epoch
        self.ends = list(accumulate(len(self.batches.epoch(epoch)) for epoch in epochs))
        self.steps = self.ends[-1] if self.ends else 0
        self._begun: tuple[int, list[Tensor]] = (-1, [])

    @property
    def samples(self) -> int:
        """Structures that were learned from, counted as often as they were."""
        epoch, position = self._place()
        rows = self._epoch(epoch)[:position] if position else []
        return epoch * len(self.task.sizes) + sum(map(len, rows))

    def _place(self) -> tuple[int, int]:
        """Finished epochs, and finished batches of the next one."""
        epoch = bisect_right(self.ends, self.done)
        return epoch, self.done - (self.ends[epoch - 1] if epoch else 0)

    def _epoch(self, number: int) -> list[Tensor]:
        """Batches of an epoch; its first call has the network learn again after a validation."""
        if self._begun[0] != number:
            self._begun = number, self.batches.epoch(number)
            self.model.train()
        return self._begun[1]

    def advance(self) -> dict[str, float]:
        epoch, position = self._place()
        batches = self._epoch(epoch)
        self.task.progress = (epoch + position / len(batches)) / self.settings.epochs
        rows, share = self.world.part(batches[position])
        generator = stream(self.seed, self.world.size * self.done + self.world.rank + 1)
        self.n_items = len(rows)
        with autocast(self.device, self.settings.half):
            losses = {name: share * loss for name, loss in self.losses(rows, generator).items()}
        return {"epoch": epoch + 1, **self.update(torch.stack(list(losses.values())).sum(), losses)}

    def rate_factor(self) -> float:
        return self.settings.rate_factor(self.task.progress)

    def validate(self) -> dict[str, float] | None:
        """The task's figures with the averaged weights, after every few epochs and the last."""
        epoch, position = self._place()
        if position or (epoch % self.settings.validate_every and epoch != self.settings.epochs):
            return None
        self.optimizer.swap()
        self.model.eval()
        figures = self.task.validate()
        self.optimizer.swap()
        return figures
