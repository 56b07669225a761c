"""The contract of a training: a model that is updated step by step, whose state is stored and restored bit for bit."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import Checkpoint, load_weights
from gflownet_crystal.common.errors import TrainingError
from gflownet_crystal.training.distributed import World
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.random_states import check_processes, restore_generator, state_name


class Training(ABC):
    """A training of a model; a subclass with more that changes from step to step adds it to ``state``.

    Attributes:
        model: network that learns, on its device.
        optimizer: optimiser of its parameters.
        steps: maximum number of steps.
        generator: random generator of all draws; None where each step seeds its own.
        world: processes that train together.
        done: finished steps.
        seconds: time that they took.
        n_items: items that the last step learned from.
        items: their name, for the record of the rate; empty for no such record.
        advice: remedy for a loss that is not finite.
    """

    model: nn.Module
    optimizer: Optimizer
    steps: int
    generator: torch.Generator | None = None
    world: World = World()
    done: int = 0
    seconds: float = 0.0
    n_items: int = 0
    items: ClassVar[str] = ""
    advice: ClassVar[str] = "lower training.learning_rate"

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(iter(self.optimizer.named.values())).device

    @property
    def is_finished(self) -> bool:
        """Whether no step is left."""
        return self.done >= self.steps

    @abstractmethod
    def advance(self) -> dict[str, float]:
        """Learn from the next batch; the figures to record."""

    def rate_factor(self) -> float | None:
        """Factor on the learning rates of this step; None where something else sets them."""
        return None

    def validate(self) -> dict[str, float] | None:
        """Figures on data that are kept apart, where they are due after the last step."""
        return None

    def take_step(self) -> dict[str, float]:
        """Take the next step, and count it; its record.

        Raises:
            TrainingError: the loss or its gradient is not finite.
        """
        start = time.perf_counter()
        record = self.advance()
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self.done += 1
        rate = {f"{self.items}_per_second": round(self.world.size * self.n_items / seconds, 1)}
        return {"step": self.done, **record, **(rate if self.items else {})}

    def update(self, loss: Tensor, figures: Mapping[str, Tensor]) -> dict[str, float]:
        """Update the parameters once.

        Args:
            loss: () loss to minimise.
            figures: () tensors to record.

        Returns:
            The figures as means over the processes, the gradient's norm before clipping, and the learning rate.

        Raises:
            TrainingError: the loss or its gradient is not finite, or no parameter takes part; nothing was updated.
        """
        if not loss.requires_grad:
            raise TrainingError(
                "the loss depends on none of the network's weights: its settings leave no layers to train"
            )
        norm = self.optimizer.backward(loss, self.world)
        columns = {**figures, "gradient_norm": norm}
        # one transfer from the device for all figures
        values = torch.stack([value.detach().double() for value in (*columns.values(), loss)])
        *numbers, total = self.world.mean(values).tolist()
        record: dict[str, float] = dict(zip(columns, numbers, strict=True))
        if not (math.isfinite(total) and math.isfinite(record["gradient_norm"])):
            wrong = [f"{name} {value}" for name, value in record.items() if not math.isfinite(value)]
            found = ", ".join(wrong) or f"loss {total}"
            raise TrainingError(f"step {self.done + 1}: {found}; the last checkpoint is kept; {self.advice}")
        return {**record, "learning_rate": self.optimizer.step(self.done, self.rate_factor())}

    def words(self, record: Mapping[str, float]) -> str:
        """A record in a few words."""
        left_out = ("step", "learning_rate", f"{self.items}_per_second")
        return ", ".join(f"{name} {value:.4g}" for name, value in record.items() if name not in left_out)

    def finish(self) -> None:
        """Give the model the averaged weights, where there are any, for use."""
        self.optimizer.swap()
        self.model.eval()

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, object]]:
        """Tensors by part and name, and values that JSON can hold; called by all processes."""
        parts = {"model": dict(self.model.state_dict()), **self.optimizer.state()}
        if self.generator is not None:
            states = self.world.gather(self.generator.get_state()[None])
            parts["random"] = {state_name(self.generator.device): states}
        return parts, {"seconds": self.seconds, "processes": self.world.size}

    def restore(self, checkpoint: Checkpoint) -> str | None:
        """Continue from the result of ``state``: bit-exact on the kind of device that it was trained on.

        Returns:
            None, or words on the new stream of random numbers that a device of another kind starts.

        Raises:
            CheckpointError, KeyError, RuntimeError, ValueError: the state is of another training, or of another number
                of processes.
        """
        check_processes(checkpoint.metadata.get("processes", self.world.size), self.world.size)
        load_weights(self.model, checkpoint, averaged=False)
        self.optimizer.restore(checkpoint)
        self.done = int(checkpoint.metadata["iteration"])
        self.seconds = float(checkpoint.metadata["seconds"])
        if self.generator is None:
            return None
        stored = checkpoint.part("random")
        return restore_generator(self.generator, stored, self.world.rank, self.world.size, self.done)


def take_all_steps(training: Training) -> None:
    """Take all remaining steps silently."""
    while not training.is_finished:
        training.take_step()
