"""The training loop: it learns, resumes to the bit, and stops at numbers that are not finite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import newest_checkpoint
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.training.loop import METRICS, Loop, Task, TrainingError, TrainingStopped
from gflownet_crystal.training.settings import LoopSettings

SETTINGS = LoopSettings(
    epochs=3, atoms=20, learning_rate=0.05, weight_decay=0.0, checkpoint_every=4, half=False, ema=0.5
)


class Line(Task):
    """y = 2 x + 1 from points with a little noise that the loop's generator draws."""

    def __init__(self, width: int = 1, poison: int | None = None) -> None:
        self.model = nn.Linear(1, width)
        nn.init.zeros_(self.model.weight)
        nn.init.zeros_(self.model.bias)
        self.sizes = torch.full((60,), 2)
        self.x = torch.linspace(-1.0, 1.0, 60)[:, None]
        self.poison, self.calls = poison, 0

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.calls += 1
        noise = 1e-3 * torch.randn(len(rows), 1, generator=generator)
        error = (self.model(self.x[rows]) - 2.0 * self.x[rows] - 1.0 + noise).square().mean()
        return {"square": error * float("nan") if self.calls == self.poison else error}

    def validate(self) -> dict[str, float]:
        with torch.no_grad():
            return {"mae": float((self.model(self.x) - 2.0 * self.x - 1.0).abs().mean())}


def test_it_learns_and_its_average_is_what_is_validated(tmp_path: Path) -> None:
    loop = Loop(Line(), LoopSettings(epochs=30, atoms=20, learning_rate=0.05, weight_decay=0.0, half=False), tmp_path,
                quiet=True)  # fmt: skip
    loop.train()
    records = read_metrics(tmp_path / METRICS)
    assert records[-1]["validation"]["mae"] < 0.05
    loop.finish()
    assert loop.task.validate() == records[-1]["validation"]
    assert loop.samples == 30 * 60


@pytest.mark.parametrize("stop_at", [1, 5, 6, 13])
def test_a_resumed_training_is_the_undisturbed_one_to_the_bit(tmp_path: Path, stop_at: int) -> None:
    whole = Loop(Line(), SETTINGS, tmp_path / "whole", seed=3, quiet=True)
    whole.train()
    cut = Loop(Line(), SETTINGS, tmp_path / "cut", seed=3, quiet=True)
    with pytest.raises(TrainingStopped):
        cut.train(lambda: cut.step == stop_at)
    resumed = Loop(Line(), SETTINGS, tmp_path / "cut", seed=3, quiet=True)
    checkpoint, _ = newest_checkpoint(tmp_path / "cut")
    assert checkpoint is not None
    resumed.restore(checkpoint)
    assert resumed.step == stop_at
    resumed.train()
    for name, value in whole.named.items():
        assert torch.equal(value, resumed.named[name])
        assert torch.equal(whole.average[name], resumed.average[name])
    steps = [record["step"] for record in read_metrics(tmp_path / "cut" / METRICS) if "square" in record]
    assert steps == list(range(1, whole.step + 1))


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    whole = Loop(Line(), SETTINGS, tmp_path / "whole", quiet=True)
    whole.train()
    killed = Loop(Line(poison=7), SETTINGS, tmp_path / "killed", quiet=True)
    with pytest.raises(TrainingError, match="step 7"):
        killed.train()
    resumed = Loop(Line(), SETTINGS, tmp_path / "killed", quiet=True)
    checkpoint, _ = newest_checkpoint(tmp_path / "killed")
    assert checkpoint is not None
    resumed.restore(checkpoint)
    assert 0 < resumed.step < 7
    resumed.train()
    assert torch.equal(whole.named["weight"], resumed.named["weight"])
    steps = [record["step"] for record in read_metrics(tmp_path / "killed" / METRICS) if "square" in record]
    assert steps == list(range(1, whole.step + 1))


def test_another_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    Loop(Line(), SETTINGS, tmp_path, quiet=True).train()
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    with pytest.raises(CheckpointError, match="another configuration"):
        Loop(Line(width=2), SETTINGS, tmp_path, quiet=True).restore(checkpoint)


def test_rates_rise_then_fall_and_settings_are_checked() -> None:
    rates = [SETTINGS.rate(step / 100) for step in range(101)]
    peak = rates.index(max(rates))
    assert peak == 5 and max(rates) == SETTINGS.learning_rate
    assert rates[:6] == sorted(rates[:6]) and rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(SETTINGS.final_factor * SETTINGS.learning_rate)
    for wrong in ({"epochs": -1}, {"ema": 1.0}, {"learning_rate": 0.0}):
        with pytest.raises(ConfigError, match=r"loop\."):
            LoopSettings(**wrong)
