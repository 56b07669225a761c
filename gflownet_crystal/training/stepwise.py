"""Resumable trainings, one step at a time: the state is stored and restored bit for bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import Checkpoint


class Averaged:
    """Exponential moving average of a network's weights.

    Args:
        network: whose weights are followed.
        decay: share kept at each step, once past the first steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.weights = [parameter.detach().clone() for parameter in network.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Follow the network by one step."""
        self.steps += 1
        keep = min(self.decay, self.steps / (self.steps + 9))
        current = [parameter.detach() for parameter in self.network.parameters()]
        torch._foreach_lerp_(self.weights, current, 1 - keep)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's weights with their average."""
        for parameter, average in zip(self.network.parameters(), self.weights, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(held)


class Stepwise(ABC):
    """A training of a network; a subclass with more that changes from step to step adds it to ``state``.

    Attributes:
        network: that learns.
        optimizer: optimizer of its parameters.
        schedule: schedule of the optimizer's rate.
        generator: random generator of all draws.
        averaged: moving average of the network's weights, updated at each step; None where they are not averaged.
        steps: maximum number of steps.
        done: finished steps.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    averaged: Averaged | None = None
    steps: int
    done: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether no step is left."""
        return self.done >= self.steps

    @abstractmethod
    def advance(self) -> dict[str, float]:
        """Take the next step, and count it; its losses by name."""

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Tensors by part and name, and values that JSON can hold."""
        stored = self.optimizer.state_dict()
        moments = {
            f"{parameter}/{key}": value
            for parameter, own in stored["state"].items()
            for key, value in own.items()
        }
        parts = {
            "network": dict(self.network.state_dict()),
            "optimizer": moments,
            "random": {"generator": self.generator.get_state()},
        }
        if self.averaged is not None:
            parts["average"] = {str(row): value for row, value in enumerate(self.averaged.weights)}
        return parts, {"groups": stored["param_groups"], "schedule": self.schedule.state_dict()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from what ``state`` gave.

        Raises:
            KeyError, RuntimeError, ValueError: it is of another training.
        """
        self.network.load_state_dict(checkpoint.part("network"))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in checkpoint.part("optimizer").items():
            parameter, key = name.split("/")
            moments.setdefault(int(parameter), {})[key] = value
        values = checkpoint.metadata
        self.optimizer.load_state_dict({"state": moments, "param_groups": values["groups"]})
        self.schedule.load_state_dict(values["schedule"])
        self.generator.set_state(checkpoint.part("random")["generator"])
        self.done = int(values["iteration"])
        if self.averaged is not None:
            stored = checkpoint.part("average")
            for row, weights in enumerate(self.averaged.weights):
                weights.copy_(stored[str(row)])
            self.averaged.steps = self.done


def take_all_steps(training: Stepwise) -> None:
    """Take the steps that are left, without a word."""
    while not training.is_finished:
        training.advance()
