"""The engine: checkpoints when they are due, the logger closed in any case, foreign checkpoints refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gflownet_crystal.common.checkpoint import checkpoint_paths, latest, load_checkpoint, save_checkpoint
from gflownet_crystal.common.errors import CheckpointError, TrainingError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.training.base import Training, take_all_steps
from gflownet_crystal.training.engine import METRICS, Engine
from gflownet_crystal.training.loggers import Logger
from gflownet_crystal.training.optimizer import Optimizer


class Mean(Training):
    """The mean of normal numbers by gradient descent; gradients are not numbers at the step ``poison``."""

    def __init__(self, poison: int | None = None, average: float | None = 0.5) -> None:
        self.model, self.steps, self.poison = nn.Linear(1, 1, bias=False), 7, poison
        nn.init.ones_(self.model.weight)
        self.generator = torch.Generator().manual_seed(0)
        self.optimizer = Optimizer(
            self.model, torch.optim.Adam(self.model.parameters(), lr=0.1), average=average
        )

    def advance(self) -> dict[str, float]:
        error = self.model.weight - torch.randn(8, 1, generator=self.generator)
        # the root of zero is a number, its gradient is none
        further = torch.sqrt(self.model.weight * 0.0).sum() if self.done + 1 == self.poison else 0.0
        loss = error.square().mean() + further
        return self.update(loss, {"loss": loss})


class Kept(Logger):
    """Keeps the names of its calls, and what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        self.calls.append(f"start {config['name']}")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.calls.append(f"log {step}")

    def close(self) -> None:
        self.calls.append("close")


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    training, logger = Mean(poison=4), Kept()
    with pytest.raises(TrainingError, match="step 4: gradient_norm nan; the last checkpoint is kept; lower"):
        Engine(training, tmp_path, 2, True, logger, {"name": "mean"}).train()
    assert logger.calls == ["start mean", "log 1", "log 2", "log 3", "close"]
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["step_00000002.safetensors"]
    assert len(read_metrics(tmp_path / METRICS)) == training.done == 3
    undisturbed = Mean()
    for _ in range(3):
        undisturbed.take_step()
    assert torch.equal(training.model.weight, undisturbed.model.weight)


def test_checkpoints_are_written_when_due_and_at_the_end(tmp_path: Path) -> None:
    Engine(Mean(), tmp_path, 3, quiet=True).train()
    assert [path.name for path in checkpoint_paths(tmp_path)] == [
        "step_00000006.safetensors", "step_00000007.safetensors"
    ]  # fmt: skip
    without_folder = Mean()
    take_all_steps(without_folder)
    stored = load_checkpoint(checkpoint_paths(tmp_path)[-1])
    assert torch.equal(stored.part("model")["weight"], without_folder.model.weight)
    # finishing puts the average in the model
    without_folder.finish()
    assert torch.equal(stored.part("average")["weight"], without_folder.model.weight)


def test_checkpoints_of_other_trainings_are_refused(tmp_path: Path) -> None:
    old = load_checkpoint(
        save_checkpoint(tmp_path, 3, {"network": {"weight": torch.ones(1, 1)}}, metrics_offset=0)
    )
    with pytest.raises(CheckpointError, match="an earlier version"):
        Engine(Mean(), tmp_path).restore(old)
    Engine(Mean(average=None), tmp_path / "run", quiet=True).train()
    plain = load_checkpoint(checkpoint_paths(tmp_path / "run")[-1])
    with pytest.raises(CheckpointError, match="another configuration"):
        Engine(Mean(), tmp_path / "run").restore(plain)


def test_records_that_have_lost_their_step_are_told_before_going_on(tmp_path: Path) -> None:
    training, again = Mean(), Mean()
    training.steps = 4
    Engine(training, tmp_path, 2, True).train()
    assert Engine(again, tmp_path, 2, True).restore(latest(tmp_path)) is None
    path = tmp_path / METRICS
    # of the same length, as the checkpoint knows it
    path.write_bytes(path.read_bytes().replace(b'"step": 2', b'"stop": 2'))
    note = Engine(again, tmp_path, 2, True).restore(latest(tmp_path))
    assert note is not None and note.endswith("1 of 4 records have no step; figures leave these out")
