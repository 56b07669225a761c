"""The training loop of networks on atoms: every step recorded, checkpoints now and then, exact resume."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import Checkpoint, TrainingStopped, save_checkpoint
from gflownet_crystal.common.errors import CheckpointError, GFlowNetCrystalError
from gflownet_crystal.common.metrics import MetricsFile, settled_length
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.models.energies.energy import autocast
from gflownet_crystal.models.layers.compiling import compile_kernels
from gflownet_crystal.structures.batching import BucketedBatches
from gflownet_crystal.training.settings import LoopSettings

METRICS = "metrics.jsonl"
_SEED_STEP = 1_000_003


class TrainingError(GFlowNetCrystalError):
    """The training cannot go on: the loss is not finite."""


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
        """() losses of a batch by name; their sum is minimised.

        Args:
            rows: (b,) int64 training structures.
            generator: random generator on the CPU for the draws of the task; it depends on seed and step only.
        """

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures of the model as it is, by name."""


class Loop:
    """Trains the model of a task in a run folder.

    Args:
        task: task to learn.
        settings: settings of the loop.
        run_dir: folder of ``metrics.jsonl`` and ``checkpoints/``.
        seed: random seed of order and draws.
        quiet: show no progress.
    """

    def __init__(
        self, task: Task, settings: LoopSettings, run_dir: Path, seed: int = 0, quiet: bool = False
    ) -> None:
        self.task, self.settings, self.run_dir, self.seed, self.quiet = task, settings, run_dir, seed, quiet
        self.batches = BucketedBatches(task.sizes, settings.atoms, seed)
        self.named = dict(task.model.named_parameters())
        self.optimizer = torch.optim.AdamW(_parameter_groups(self.named, settings.weight_decay), fused=True)
        self.average = {name: value.detach().clone() for name, value in self.named.items()}
        self.losses = task.losses
        if settings.compile and not compile_kernels(task.model):
            self.losses = torch.compile(task.losses, dynamic=True)
        self.epoch = self.position = self.step = self.samples = 0
        self.seconds = 0.0
        self.metrics_offset = 0

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Run the epochs that are left.

        Args:
            should_stop: asked after each step; if it says yes, a checkpoint is written and the training ends.

        Raises:
            TrainingError: the loss is not finite; the checkpoints before stay.
            TrainingStopped: ``should_stop`` said yes.
        """
        metrics = MetricsFile(self.run_dir / METRICS, self.metrics_offset)
        try:
            while self.epoch < self.settings.epochs:
                self._run_epoch(metrics, should_stop)
        finally:
            metrics.close()

    def _run_epoch(self, metrics: MetricsFile, should_stop: Callable[[], bool]) -> None:
        batches = self.batches.epoch(self.epoch)
        label = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        self.task.model.train()
        with Progress(len(batches), self.position, label, self.quiet) as progress:
            for rows in batches[self.position :]:
                start = time.perf_counter()
                share = (self.epoch + self.position / len(batches)) / self.settings.epochs
                self.task.progress = share
                record = self._update(rows, self.settings.rate(share))
                seconds = time.perf_counter() - start
                self.seconds += seconds
                self.step, self.position = self.step + 1, self.position + 1
                self.samples += len(rows)
                metrics.write({"step": self.step, "epoch": self.epoch + 1, **record,
                               "structures_per_second": round(len(rows) / seconds, 1)})  # fmt: skip
                progress.advance(", ".join(f"{name} {value:.4g}" for name, value in record.items()))
                stop = should_stop()
                if stop or self.step % self.settings.checkpoint_every == 0:
                    self._save(metrics)
                if stop:
                    raise TrainingStopped(f"stopped after step {self.step}")
            self.epoch, self.position = self.epoch + 1, 0
            if self.epoch % self.settings.validate_every == 0 or self.epoch == self.settings.epochs:
                figures = self.validate()
                metrics.write({"step": self.step, "epoch": self.epoch, "validation": figures})
                shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                progress.note(f"validation after {label}: {shown}")
        self._save(metrics)

    def _update(self, rows: Tensor, rate: float) -> dict[str, float]:
        generator = torch.Generator().manual_seed(self.seed + _SEED_STEP * (self.step + 1))
        self.optimizer.zero_grad()
        with autocast(next(iter(self.named.values())).device, self.settings.half):
            losses = self.losses(rows, generator)
        total = torch.stack(list(losses.values())).sum()
        if not total.requires_grad:
            raise TrainingError(
                "the loss depends on none of the network's weights: its settings leave no layers to train"
            )
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.named.values(), self.settings.clip_norm)
        values = torch.stack([*(loss.detach().float() for loss in losses.values()), norm.float()]).tolist()
        record = dict(zip([*losses, "gradient_norm"], values, strict=True))
        if not all(map(math.isfinite, values)):
            raise TrainingError(
                f"step {self.step + 1}: {record}; the last checkpoint is kept; lower loop.learning_rate"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        # a young average forgets its start faster
        decay = min(self.settings.ema, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.named.values()), 1.0 - decay)
        return {**record, "learning_rate": rate}

    def validate(self) -> dict[str, float]:
        """The task's figures with the averaged weights."""
        trained = {name: value.detach().clone() for name, value in self.named.items()}
        self._load(self.average)
        self.task.model.eval()
        figures = self.task.validate()
        self._load(trained)
        return figures

    def finish(self) -> None:
        """Give the model the averaged weights."""
        self._load(self.average)
        self.task.model.eval()

    @torch.no_grad()
    def _load(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.named.items():
            parameter.copy_(values[name])

    def _save(self, metrics: MetricsFile) -> None:
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.named.items()}
        moments = {
            f"{key}/{names[parameter]}": value
            for parameter, state in self.optimizer.state.items()
            for key, value in state.items()
        }
        parts = {"model": dict(self.task.model.state_dict()), "average": self.average, "adam": moments}
        place: dict[str, Any] = {"epoch": self.epoch, "position": self.position, "samples": self.samples}
        offset = metrics.settle()
        save_checkpoint(self.run_dir, self.step, parts, metrics_offset=offset, seconds=self.seconds, **place)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Resume from a checkpoint, bit-exact.

        Raises:
            CheckpointError: it belongs to another configuration.
        """
        try:
            self.task.model.load_state_dict(checkpoint.part("model"))
            average = checkpoint.part("average")
            for name, value in self.average.items():
                value.copy_(average[name])
            self.optimizer.state.clear()
            for name, value in checkpoint.part("adam").items():
                key, parameter_name = name.split("/", 1)
                parameter = self.named[parameter_name]
                self.optimizer.state[parameter][key] = value.to(parameter.device)
            self.step = int(checkpoint.metadata["iteration"])
            self.epoch, self.position = (
                int(checkpoint.metadata["epoch"]),
                int(checkpoint.metadata["position"]),
            )
            self.samples = int(checkpoint.metadata["samples"])
            self.seconds = float(checkpoint.metadata["seconds"])
            self.metrics_offset = settled_length(
                self.run_dir / METRICS, int(checkpoint.metadata["metrics_offset"])
            )
        except CheckpointError:
            raise
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError.of_other_settings(checkpoint.path, error) from error


def _parameter_groups(named: Mapping[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices with weight decay, and the rest without."""
    matrices = [value for value in named.values() if value.dim() > 1]
    rest = [value for value in named.values() if value.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
