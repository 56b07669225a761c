"""The task that trains GemsDiff."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import gflownet_crystal.config
from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.generators.gemsdiff_task import DiffusionSettings, GemsDiffTask, draw
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.settings import LoopSettings
from tests.models.small_gemsdiff import crystals, small_model, small_settings

CONFIGS = Path(str(gflownet_crystal.config.__file__)).parent / "diffusion"
PRESETS = {"gemsdiff": GemsDiffSettings.fast(), "gemsdiff_paper": GemsDiffSettings.paper()}


def splits() -> Splits:
    text = np.array([""] * 6, dtype=np.str_)
    part = LabelledStructures(crystals(), torch.zeros(6).double(), text, text, text)
    return Splits(part, part, part)


@pytest.mark.parametrize("recipe", ["corrected", "paper"])
def test_all_steps_are_drawn(recipe: str) -> None:
    chosen, rows = small_settings(recipe), torch.arange(6).repeat(400)
    drawn = draw(crystals()[rows], chosen, torch.Generator().manual_seed(0))
    assert set(drawn.position_step.tolist()) == set(range(1, chosen.steps + 1))
    if recipe == "paper":
        assert torch.equal(drawn.position_step, drawn.lattice_step)
    else:
        held = (drawn.lattice_step == 0).double().mean()
        assert abs(held - chosen.held) < 0.05
        assert set(drawn.lattice_step.tolist()) == set(range(chosen.steps + 1))


def test_noise_depends_on_the_generator_only() -> None:
    task = GemsDiffTask(small_model(), splits(), DiffusionSettings())
    rows = torch.tensor([3, 1, 4])
    with torch.no_grad():
        first = task.losses(rows, torch.Generator().manual_seed(5))
        second = task.losses(rows, torch.Generator().manual_seed(5))
        other = task.losses(rows, torch.Generator().manual_seed(6))
    assert set(first) == {"position", "lattice"}
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["position"], other["position"])


def test_validation_is_always_the_same_and_weights_do_not_enter() -> None:
    weighted = DiffusionSettings(position_weight=3.0, lattice_weight=0.5, validated=4)
    task = GemsDiffTask(small_model(), splits(), weighted)
    figures = task.validate()
    plain = GemsDiffTask(small_model(), splits(), DiffusionSettings(validated=4)).validate()
    assert figures == task.validate() == plain
    assert figures["loss"] == pytest.approx(figures["position"] + figures["lattice"])


@pytest.mark.parametrize("recipe", ["corrected", "paper"])
def test_what_is_shown_again_and_again_is_learned(recipe: str) -> None:
    task = GemsDiffTask(small_model(recipe), splits(), DiffusionSettings())
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    totals = []
    for _ in range(25):
        optimizer.zero_grad()
        losses = task.losses(torch.arange(6), torch.Generator().manual_seed(0))
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.7 * totals[0]


def test_loop_trains_it(tmp_path: Path) -> None:
    task = GemsDiffTask(small_model(), splits(), DiffusionSettings())
    training = NetworkTraining(task, LoopSettings(epochs=2, atoms=64, ema=0.5, half=False))
    Engine(training, tmp_path, quiet=True).train()
    training.finish()
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert {"position", "lattice"} <= set(records[0])
    # the averaged weights are those that were validated last
    assert task.validate() == records[-1]["validation"]


@pytest.mark.parametrize("name", PRESETS)
def test_configs_are_presets(name: str) -> None:
    values = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    assert settings_from(GemsDiffSettings, values, "diffusion") == PRESETS[name]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"position_weight": -1.0}, {"validated": 0}, {"lattice_weight": float("nan")}]
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DiffusionSettings(**wrong)  # type: ignore[arg-type]
