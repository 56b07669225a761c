"""Adam on the policies and on log Z, with clipping, a schedule and an optional moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import Checkpoint
from gflownet_crystal.gflownet.distributed import World
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.settings import TrainerSettings


class Optimizer:
    """Updates a model's parameters from a loss.

    Args:
        model: model to update.
        settings: learning rates, schedule, clipping and averaging.
        world: processes whose gradients are averaged.
    """

    def __init__(self, model: GFlowNet, settings: TrainerSettings, world: World | None = None) -> None:
        self.world = world or World()
        self.settings = settings
        self.schedule = settings.learning_rate_schedule()
        self.named = dict(model.named_parameters())
        self.policies = [value for value in self.named.values() if value is not model.log_z_weights]
        self.rates = (settings.learning_rate, settings.learning_rate_log_z)
        groups = [{"params": self.policies}, {"params": [model.log_z_weights]}]
        self.adam = torch.optim.Adam(groups, fused=True)
        self.average = (
            None if settings.ema is None else {n: p.detach().clone() for n, p in self.named.items()}
        )

    def learning_rate(self, iteration: int) -> float:
        """Rate of the policies at an iteration, counted from 0."""
        return self.settings.learning_rate * self.schedule.factor(iteration)

    def backward(self, loss: Tensor) -> Tensor:
        """Gradients of ``loss``, clipped; returns the policies' () gradient norm before clipping."""
        self.adam.zero_grad()
        loss.backward()
        self.world.average_gradients([*self.named.values()])
        limit = self.settings.clip_norm
        norm = nn.utils.clip_grad_norm_(self.policies, float("inf") if limit is None else limit)
        # without any gradient, as where every action was forced, the norm is a zero on the CPU
        return norm.to(loss.device)

    @torch.no_grad()
    def step(self, iteration: int) -> None:
        """Apply the gradients."""
        factor = self.schedule.factor(iteration)
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.adam.step()
        if self.average is not None and self.settings.ema is not None:
            # a young average forgets its start faster
            decay = min(self.settings.ema, (1.0 + iteration) / (10.0 + iteration))
            for name, averaged in self.average.items():
                averaged.lerp_(self.named[name], 1.0 - decay)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Checkpoint parts: Adam's moments by parameter, and the averaged weights if there are any."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.named.items()}
        moments = {
            f"{key}/{names[parameter]}": value
            for parameter, values in self.adam.state.items()
            for key, value in values.items()
        }
        parts = {"adam": moments}
        return parts if self.average is None else parts | {"average": self.average}

    def load_state(self, checkpoint: Checkpoint) -> None:
        """Restore what :meth:`state` gave.

        Raises:
            KeyError: a tensor belongs to no parameter, or is missing.
        """
        self.adam.state.clear()
        for name, value in checkpoint.part("adam").items():
            key, parameter_name = name.split("/", 1)
            parameter = self.named[parameter_name]
            self.adam.state[parameter][key] = value.to(parameter.device)
        if self.average is not None:
            saved = checkpoint.part("average")
            for name, averaged in self.average.items():
                averaged.copy_(saved[name])
