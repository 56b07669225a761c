"""Settings of the box."""

from __future__ import annotations

import pytest

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.box import Box


@pytest.mark.parametrize("increment", [0.0, -0.1, 1.0, 1e-320, 1e-9, float("nan"), float("inf")])
def test_increments_that_bound_no_trajectory_are_refused(increment: float) -> None:
    with pytest.raises(ConfigError, match="minimum_increment must lie in"):
        Box(2, increment)


@pytest.mark.parametrize(("increment", "most"), [(0.1, 12), (0.5, 4), (1e-6, 1_000_002)])
def test_increments_bound_the_number_of_transitions(increment: float, most: int) -> None:
    assert abs(Box(2, increment).stages[0].max_transitions - most) <= 1
