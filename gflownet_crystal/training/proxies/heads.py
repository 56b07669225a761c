"""Training of the heads on the last layers of the energy ensemble."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.bounds import Count, InnerShare, Positive, ShareBelowOne
from gflownet_crystal.models.spec_energy.heads import EnsembleHeads
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.proxies.recipe import RecipeSettings
from gflownet_crystal.training.schedule import cosine

_SCALE_WEIGHT = 0.05
"""Of the likelihood of the errors, over their size."""

_FEWER_PASSES = 3


@dataclass(frozen=True)
class HeadsSettings(RecipeSettings):
    """Hyperparameters of the heads.

    Attributes:
        width: width of the hidden layers.
        steps: maximum number of optimiser steps.
        passes: maximum number of passes over the specs, a third of it where earlier heads are trained on: few specs
            take few steps, after which the heads would know them by heart.
        weight_decay: weight decay of AdamW.
        dropout: share of hidden units that are left out.
        average: decay of the exponential moving average of the weights; the average is kept.
    """

    holdout: InnerShare = 0.1
    width: Count = 128
    steps: Count = 1500
    passes: Count = 120
    batch_size: Count = 256
    learning_rate: Positive = 1e-3
    weight_decay: float = 0.1
    dropout: ShareBelowOne = 0.3
    average: InnerShare = 0.995


class HeadsTraining(Training):
    """Training of the heads.

    Args:
        features: (members, n, f).
        target: (n,) float32, value to learn, in units near its spread.
        settings: hyperparameters.
        start: heads to go on from; fresh ones if not given.
    """

    model: EnsembleHeads
    generator: torch.Generator

    def __init__(
        self, features: Tensor, target: Tensor, settings: HeadsSettings, start: EnsembleHeads | None = None
    ) -> None:
        self.features, self.target, self.settings = features, target, settings
        passes = settings.passes if start is None else settings.passes / _FEWER_PASSES
        self.steps = min(settings.steps, math.ceil(passes * len(target) / settings.batch_size))
        if start is None:
            heads = EnsembleHeads(len(features), features.shape[2], settings.width, settings.seed)
            heads.scale.copy_(torch.stack([features.mean((0, 1)), features.std((0, 1)).clamp(min=1e-3)]))
        else:
            heads = copy.deepcopy(start)
        self.model = heads.train()
        self.generator = torch.Generator().manual_seed(settings.seed + 1)
        adam = torch.optim.AdamW(
            heads.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.optimizer = Optimizer(heads, adam, average=settings.average)

    def rate_factor(self) -> float:
        return max(0.005, cosine(self.done / self.steps))

    def advance(self) -> dict[str, float]:
        rows = torch.randint(len(self.target), (self.settings.batch_size,), generator=self.generator)
        cost, log_scale = self.model(self.features[:, rows], self.settings.dropout, self.generator).unbind(2)
        error = (cost - self.target[rows]).abs()
        log_scale = log_scale.clamp(-6, 2)
        scale = error.detach() * torch.exp(-log_scale) + log_scale
        # members do not interact: the sum over them gives each its own gradient
        loss = (error.mean(1) + _SCALE_WEIGHT * scale.mean(1)).sum()
        return self.update(loss, {"error": error.mean(), "scale": scale.mean()})
