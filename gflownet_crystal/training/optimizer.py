"""Adam with clipping and a moving average of the weights, stored by the names of the parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import Checkpoint
from gflownet_crystal.training.distributed import World


class MovingAverage:
    """Exponential moving average of weights.

    Args:
        named: weights to follow, by name.
        decay: share of the average kept at each step, once past the first steps.
    """

    def __init__(self, named: Mapping[str, Tensor], decay: float) -> None:
        self.named, self.decay = named, decay
        self.weights = {name: value.detach().clone() for name, value in named.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Follow the weights after a step, counted from 0."""
        # a young average forgets its start faster
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        current = [value.detach() for value in self.named.values()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights with their average."""
        for name, average in self.weights.items():
            held = self.named[name].detach().clone()
            self.named[name].copy_(average)
            average.copy_(held)


class Optimizer:
    """Update of the parameters of a model by Adam or AdamW.

    Args:
        model: model whose parameters are updated.
        adam: PyTorch's optimiser of all its parameters, with the peak of each group's learning rate.
        clip_norm: largest gradient norm; None not to clip.
        clipped: parameters whose gradient is clipped; None for all.
        average: decay of the moving average of the weights; None for no average.
    """

    def __init__(
        self,
        model: nn.Module,
        adam: torch.optim.Optimizer,
        clip_norm: float | None = None,
        clipped: Iterable[Tensor] | None = None,
        average: float | None = None,
    ) -> None:
        self.adam, self.named = adam, dict(model.named_parameters())
        self.limit = math.inf if clip_norm is None else clip_norm
        self.clipped = list(self.named.values() if clipped is None else clipped)
        self.peaks = [float(group["lr"]) for group in adam.param_groups]
        self.average = None if average is None else MovingAverage(self.named, average)

    def backward(self, loss: Tensor, world: World) -> Tensor:
        """Gradients of ``loss``, averaged over the processes and clipped; their () norm before clipping."""
        self.adam.zero_grad()
        loss.backward()
        world.average_gradients([*self.named.values()])
        norm = nn.utils.clip_grad_norm_(self.clipped, self.limit)
        # without any gradient, as where every action was forced, the norm is a zero on the CPU
        return norm.to(loss.device)

    def step(self, done: int, factor: float | None) -> float:
        """Apply the gradients; returns the learning rate of the first group.

        Args:
            done: finished steps.
            factor: factor on the learning rates; None to leave them as they are.
        """
        if factor is not None:
            for group, peak in zip(self.adam.param_groups, self.peaks, strict=True):
                group["lr"] = peak * factor
        rate = float(self.adam.param_groups[0]["lr"])
        self.adam.step()
        if self.average is not None:
            self.average.follow(done)
        return rate

    def swap(self) -> None:
        """Exchange the weights with their average, where there is one."""
        if self.average is not None:
            self.average.swap()

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Checkpoint parts: Adam's moments by parameter, and the averaged weights if there are any."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.named.items()}
        moments = {
            f"{key}/{names[parameter]}": value
            for parameter, values in self.adam.state.items()
            for key, value in values.items()
        }
        return {"adam": moments} | ({} if self.average is None else {"average": self.average.weights})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from the result of :meth:`state`.

        Raises:
            KeyError: a tensor belongs to no parameter, or is missing.
            RuntimeError: a tensor has another shape.
        """
        self.adam.state.clear()
        for name, value in checkpoint.part("adam").items():
            key, parameter_name = name.split("/", 1)
            parameter = self.named[parameter_name]
            self.adam.state[parameter][key] = value.to(parameter.device)
        if self.average is not None:
            stored = checkpoint.part("average")
            for name, weights in self.average.weights.items():
                weights.copy_(stored[name])
