"""The task of learning free parameters: crystals that it leaves out, its repeatability, and that it learns."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow
from gflownet_crystal.training.generators.site_task import SiteTask, SiteTaskSettings
from tests.models.small_sites import SMALL, known_sites


def _task(**settings: bool | int) -> SiteTask:
    data = known_sites()
    return SiteTask(ParameterFlow.new(SMALL), data, data, SiteTaskSettings(**settings))


def test_crystals_without_free_parameters_are_left_out() -> None:
    data = known_sites()
    task = _task()
    assert len(task.sizes) == int((data.n_free > 0).sum()) < len(data)
    assert task.sizes.equal(data.n_pairs[data.n_free > 0])


def test_losses_and_validation_are_repeatable() -> None:
    task = _task()
    rows = torch.arange(5)
    one, other = (
        task.losses(rows, torch.Generator().manual_seed(seed))["velocity"].item() for seed in (1, 1)
    )
    assert one == other != task.losses(rows, torch.Generator().manual_seed(2))["velocity"].item()
    assert task.validate() == task.validate()


def test_the_nearest_description_makes_shorter_ways() -> None:
    # a network that says nothing pays the mean squared length of the ways
    totals = []
    for nearest in (True, False):
        task = _task(nearest=nearest)
        for parameter in task.model.parameters():
            torch.nn.init.zeros_(parameter)
        totals.append(task.validate()["velocity"])
    assert totals[0] < 0.7 * totals[1]


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    task = _task()
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=5e-3)
    before = task.validate()["velocity"]
    rows = torch.arange(len(task.sizes))
    for step in range(60):
        optimizer.zero_grad()
        task.losses(rows, torch.Generator().manual_seed(step))["velocity"].backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
    assert task.validate()["velocity"] < 0.85 * before


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="validated"):
        SiteTaskSettings(validated=0)


def test_nothing_to_learn_is_told() -> None:
    data = known_sites()
    fixed = data.take((data.n_free == 0).nonzero()[:, 0])
    with pytest.raises(DataError, match="free parameter"):
        SiteTask(ParameterFlow.new(SMALL), data, fixed, SiteTaskSettings())
