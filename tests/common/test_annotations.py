"""Values of configurations as their annotations have them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gflownet_crystal.common.annotations import fitting
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.training.samplers.settings import TrainerSettings


@pytest.mark.parametrize("value", [10**20, -(10**20), 2**63])
def test_whole_numbers_beyond_64_bits_are_floats_where_floats_are_asked_for(value: int) -> None:
    found = fitting(value, float, "key")
    assert isinstance(found, float) and found == float(value)
    # a tensor takes the float, where it does not take each of these whole numbers
    assert float((torch.zeros(1, dtype=torch.float64) + found)[0]) == float(value)


@pytest.mark.parametrize("value", [10**400, float("nan"), float("inf"), [1.0, float("nan")]])
def test_numbers_that_no_float_holds_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="finite"):
        fitting(value, list[float] if isinstance(value, list) else float, "key")


@pytest.mark.parametrize("value", [None, 3, "cosine", [1], True])
def test_a_section_that_holds_no_keys_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.schedule must be ScheduleSettings"):
        TrainerSettings(schedule=value)
