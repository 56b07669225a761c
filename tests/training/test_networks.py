"""Training of networks: it learns, resumes bit for bit, and stops at numbers that are not finite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import TrainingStopped, newest_checkpoint
from gflownet_crystal.common.errors import CheckpointError, ConfigError, TrainingError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.training.engine import METRICS, Engine
from gflownet_crystal.training.networks import NetworkTraining, Task
from gflownet_crystal.training.settings import LoopSettings

SETTINGS = LoopSettings(
    epochs=3, atoms=20, learning_rate=0.05, weight_decay=0.0, checkpoint_every=4, half=False, ema=0.5
)


class Line(Task):
    """y = 2 x + 1 from points with a little noise that the step's generator draws, or exact ones."""

    def __init__(self, width: int = 1, poison: int | None = None, exact: bool = False) -> None:
        self.noise = 0.0 if exact else 1e-3
        self.model = nn.Linear(1, width)
        nn.init.zeros_(self.model.weight)
        nn.init.zeros_(self.model.bias)
        self.sizes = torch.full((60,), 2)
        self.x = torch.linspace(-1.0, 1.0, 60)[:, None]
        self.poison, self.calls = poison, 0

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.calls += 1
        noise = self.noise * torch.randn(len(rows), 1, generator=generator)
        error = (self.model(self.x[rows]) - 2.0 * self.x[rows] - 1.0 + noise).square().mean()
        return {"square": error * float("nan") if self.calls == self.poison else error}

    def validate(self) -> dict[str, float]:
        with torch.no_grad():
            return {"mae": float((self.model(self.x) - 2.0 * self.x - 1.0).abs().mean())}


def engine(
    task: Task, folder: Path, settings: LoopSettings = SETTINGS, seed: int = 0
) -> Engine[NetworkTraining]:
    return Engine(NetworkTraining(task, settings, seed), folder, settings.checkpoint_every, quiet=True)


def test_it_learns_and_its_average_is_what_is_validated(tmp_path: Path) -> None:
    settings = LoopSettings(epochs=30, atoms=20, learning_rate=0.05, weight_decay=0.0, half=False)
    learned = engine(Line(), tmp_path, settings)
    learned.train()
    records = read_metrics(tmp_path / METRICS)
    assert records[-1]["validation"]["mae"] < 0.05
    learned.training.finish()
    assert learned.training.task.validate() == records[-1]["validation"]
    assert learned.training.samples == 30 * 60


@pytest.mark.parametrize("stop_at", [1, 5, 6, 13])
def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    whole = engine(Line(), tmp_path / "whole", seed=3)
    whole.train()
    cut = engine(Line(), tmp_path / "cut", seed=3)
    with pytest.raises(TrainingStopped):
        cut.train(lambda: cut.training.done == stop_at)
    resumed = engine(Line(), tmp_path / "cut", seed=3)
    checkpoint, _ = newest_checkpoint(tmp_path / "cut")
    assert checkpoint is not None
    resumed.restore(checkpoint)
    assert resumed.training.done == stop_at
    resumed.train()
    expected, found = (one.training.state()[0] for one in (whole, resumed))
    for part, tensors in expected.items():
        assert all(torch.equal(value, found[part][name]) for name, value in tensors.items())
    steps = [record["step"] for record in read_metrics(tmp_path / "cut" / METRICS) if "square" in record]
    assert steps == list(range(1, whole.training.done + 1))


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    whole = engine(Line(), tmp_path / "whole")
    whole.train()
    killed = engine(Line(poison=7), tmp_path / "killed")
    with pytest.raises(TrainingError, match="step 7"):
        killed.train()
    resumed = engine(Line(), tmp_path / "killed")
    checkpoint, _ = newest_checkpoint(tmp_path / "killed")
    assert checkpoint is not None
    resumed.restore(checkpoint)
    assert 0 < resumed.training.done < 7
    resumed.train()
    assert torch.equal(whole.training.model.weight, resumed.training.model.weight)
    steps = [record["step"] for record in read_metrics(tmp_path / "killed" / METRICS) if "square" in record]
    assert steps == list(range(1, whole.training.done + 1))


def test_another_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    engine(Line(), tmp_path).train()
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    with pytest.raises(CheckpointError, match="another configuration"):
        engine(Line(width=2), tmp_path).restore(checkpoint)


def test_rates_rise_then_fall_and_settings_are_checked() -> None:
    factors = [SETTINGS.rate_factor(step / 100) for step in range(101)]
    assert factors.index(max(factors)) == 5 and max(factors) == 1.0
    assert factors[:6] == sorted(factors[:6]) and factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[-1] == pytest.approx(SETTINGS.final_factor)
    for wrong in ({"epochs": -1}, {"ema": 1.0}, {"learning_rate": 0.0}):
        with pytest.raises(ConfigError, match=r"loop\."):
            LoopSettings(**wrong)
