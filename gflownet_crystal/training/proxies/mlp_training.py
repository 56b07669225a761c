"""Training of the energy ensemble: one loop over batches of crystals, each with its true cell and two strained ones."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.bounds import Count, Several
from gflownet_crystal.common.checkpoint import Checkpoint
from gflownet_crystal.common.devices import autocast
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.spec_energy.features import N_BUCKETS
from gflownet_crystal.models.spec_energy.network import EnergyEnsemble
from gflownet_crystal.structures.element_properties import N_PROPERTIES, element_properties
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.proxies.mlp_data import TrainingData
from gflownet_crystal.training.proxies.mlp_losses import Batch, batch_losses
from gflownet_crystal.training.proxies.recipe import RecipeSettings
from gflownet_crystal.training.schedule import cosine


@dataclass(frozen=True)
class TrainingSettings(RecipeSettings):
    """Hyperparameters of the ensemble and its training.

    Attributes:
        members: networks.
        width: width of the trunks.
        token_width: width of an element's representation.
        embedding: width of element and group embeddings.
        steps: optimiser steps; the schedule is counted in them.
        composition_batch: rows without structure a step.
        weight_decay: weight decay of AdamW, on weight matrices and embeddings.
        warmup: steps of linear rise.
        average: decay of the exponential moving average of the weights; the average is kept.
        strain_weight: weight of the strained cells' energies against their true cell.
        strain_scale: eV/atom; errors of strained energies count relative to this plus the energy.
        volume_weight: weight of the equilibrium volumes, and with ``mode_weight`` of the shapes.
        composition_weight: weight of the energies from composition and group alone.
        mode_weight: weight of the likelihood of the true shapes, over ``volume_weight``.
        prototype_dropout: share of rows whose prototype is treated as never seen.
        bfloat16: matrix products of the hidden layers in bfloat16; heads and losses stay in float32.
    """

    members: Several = 3
    width: Count = 256
    token_width: Count = 96
    embedding: Count = 64
    steps: Count = 5500
    batch_size: Count = 1152
    composition_batch: int = 256
    weight_decay: float = 0.1
    warmup: int = 100
    average: float = 0.998
    strain_weight: float = 3.0
    strain_scale: float = 0.1
    volume_weight: float = 0.5
    composition_weight: float = 0.3
    mode_weight: float = 0.5
    prototype_dropout: float = 0.1
    bfloat16: bool = True


def initial_ensemble(data: TrainingData, settings: TrainingSettings) -> EnergyEnsemble:
    """A fresh ensemble whose inputs are standardised to the data."""
    rows = prototype_rows(data.crystals.features.bucket)
    network = EnergyEnsemble(
        settings.members,
        settings.width,
        settings.token_width,
        settings.embedding,
        N_PROPERTIES,
        int(rows.max()),
        settings.seed,
    )
    network.row_of_bucket.copy_(rows)
    scalar = data.crystals.features.scalar
    lattice = torch.cat([data.true.shape, data.true.log_volume[:, None]], dim=1)
    network.properties.copy_(element_properties())
    network.scalar_scale.copy_(torch.stack([scalar.mean(0), scalar.std(0).clamp(min=1e-3)]))
    network.lattice_scale.copy_(torch.stack([lattice.mean(0), lattice.std(0).clamp(min=1e-3)]))
    return network


def prototype_rows(bucket: Tensor, least: int = 2) -> Tensor:
    """Row (N_BUCKETS,) int32 of each bucket that ``least`` crystals share, numbered from 1; 0 for the others."""
    known = torch.bincount(bucket, minlength=N_BUCKETS) >= least
    return torch.where(known, known.cumsum(0), 0).int()


class Shuffled:
    """Rows in random order, reshuffled when they are used up.

    Args:
        rows: (n,) int64.

    Raises:
        DataError: there are no rows.
    """

    def __init__(self, rows: Tensor) -> None:
        if not len(rows):
            raise DataError(
                "the crystals to train on have fewer different formulas than members; give more data"
            )
        self.rows, self.left = rows, rows[:0]

    def take(self, n: int, generator: torch.Generator) -> Tensor:
        """The next ``n`` rows."""
        parts = [self.left]
        while sum(map(len, parts)) < n:
            parts.append(self.rows[torch.randperm(len(self.rows), generator=generator)])
        joined = torch.cat(parts)
        self.left = joined[n:]
        return joined[:n]


class EnsembleTraining(Training):
    """Training of the energy ensemble.

    Args:
        data: training data.
        settings: hyperparameters.
        network: network to continue from; a fresh one if not given.

    Attributes:
        curve: mean absolute errors of the steps so far, eV/atom.
    """

    model: EnergyEnsemble
    generator: torch.Generator

    def __init__(
        self, data: TrainingData, settings: TrainingSettings, network: EnergyEnsemble | None = None
    ) -> None:
        self.data, self.settings, self.steps = data, settings, settings.steps
        self.model = (initial_ensemble(data, settings) if network is None else network).train()
        self.generator = torch.Generator().manual_seed(settings.seed + 1)
        matrices = [p for name, p in self.model.named_parameters() if not name.endswith("bias")]
        biases = [p for name, p in self.model.named_parameters() if name.endswith("bias")]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        adam = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99))
        # each member has the gradient of one loss
        clip_norm = math.sqrt(self.model.members)
        self.optimizer = Optimizer(self.model, adam, clip_norm, average=settings.average)
        fold = data.formula_key % settings.members
        self.folds = [Shuffled((fold == member).nonzero().squeeze(1)) for member in range(settings.members)]
        self.curve: list[float] = []

    def rate_factor(self) -> float:
        risen = min(1.0, (self.done + 1) / self.settings.warmup)
        return risen * max(0.005, cosine(self.done / self.steps))

    def advance(self) -> dict[str, float]:
        batch, s = self.draw(), self.settings
        with self._precision():
            losses = batch_losses(self.model, self.data, batch, s.strain_scale, s.prototype_dropout)
        total = losses.true + s.composition_weight * losses.composition + s.strain_weight * losses.strained
        total = total + s.volume_weight * (losses.volume + s.mode_weight * losses.shape) + 0.01 * losses.scale
        # members do not interact: the sum over them gives each its own gradient
        record = self.update(total * self.model.members, losses._asdict())
        self.curve.append(record["true"])
        return record

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, object]]:
        parts, values = super().state()
        parts["order"] = {str(member): order.left for member, order in enumerate(self.folds)}
        return parts, {**values, "curve": self.curve}

    def restore(self, checkpoint: Checkpoint) -> str | None:
        left = checkpoint.part("order")
        for member, order in enumerate(self.folds):
            order.left = left[str(member)]
        self.curve = list(checkpoint.metadata["curve"])
        return super().restore(checkpoint)

    def _precision(self) -> AbstractContextManager[object]:
        return autocast(torch.device("cpu"), self.settings.bfloat16)

    def draw(self) -> Batch:
        """The next batch: equally many crystals of each fold, and some rows without structure."""
        data, generator = self.data, self.generator
        share = max(1, self.settings.batch_size // self.settings.members)
        rows = torch.cat([order.take(share, generator) for order in self.folds])
        n_loose = len(data.composition_energy)
        loose = torch.randint(
            max(n_loose, 1), (self.settings.composition_batch if n_loose else 0,), generator=generator
        )
        n = len(data.energy)
        copy = torch.randint(data.n_random, (2, len(rows)), generator=generator)
        first, second = copy * n + rows
        start, stop = data.measured_start[rows], data.measured_start[rows + 1]
        pick = start + (torch.rand(len(rows), generator=generator) * (stop - start)).long()
        pick = pick.clamp(max=max(len(data.measured) - 1, 0))
        has = stop > start

        def third(name: str) -> Tensor:
            spare = getattr(data.random, name)[second]
            if len(data.measured) == 0:
                return spare
            measured = getattr(data.measured, name)[pick]
            return torch.where(has if measured.dim() == 1 else has[:, None], measured, spare)

        def stacked(name: str) -> Tensor:
            return torch.stack(
                [getattr(data.true, name)[rows], getattr(data.random, name)[first], third(name)]
            )

        return Batch(rows, loose, stacked("log_volume"), stacked("shape"), stacked("energy"), generator)
