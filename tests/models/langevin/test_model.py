"""Noise levels, step sizes and single steps against the paper's formulas."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.langevin.model import NoiseLevels, Schedule, langevin_step, step_sizes


def test_levels_are_evenly_spaced_in_their_logarithms():
    levels = NoiseLevels()
    positions, lattice = levels.positions(), levels.lattice()
    assert len(positions) == len(lattice) == 10
    assert math.isclose(float(positions[0]), 6.0) and math.isclose(float(positions[-1]), 0.03)
    assert math.isclose(float(lattice[0] ** 2), 36.0) and math.isclose(float(lattice[-1] ** 2), 0.1)
    for deviations in (positions, lattice):
        ratios = deviations[1:] / deviations[:-1]
        assert torch.allclose(ratios, ratios[:1].expand(9)) and ratios[0] < 1


def test_steps_shrink_with_the_variance():
    deviations = NoiseLevels().positions()
    sizes = step_sizes(deviations, 1e-3)
    assert math.isclose(float(sizes[-1]), 1e-3)
    assert math.isclose(float(sizes[0]), 1e-3 * (6.0 / 0.03) ** 2)


def test_a_step_without_noise_climbs_the_score():
    state, size = torch.tensor([2.0, -1.0]), torch.tensor(0.5)
    moved = langevin_step(state, -state / 4, size, torch.tensor([3.0, 1.0]), factor=0.0)
    assert torch.allclose(moved, state * (1 - 0.5 / 8))


def test_steps_have_a_gaussian_as_their_limit():
    generator = torch.Generator().manual_seed(0)
    state, size = torch.zeros(20_000), torch.tensor(0.02)
    for _ in range(400):
        state = langevin_step(state, -(state - 1) / 0.25, size, torch.randn(len(state), generator=generator))
    assert abs(float(state.mean()) - 1) < 0.02
    # the deviation of the discrete steps: var = eps / (1 - (1 - eps / (2 s^2))^2)
    kept = 1 - 0.02 / 0.5
    assert abs(float(state.std()) / math.sqrt(0.02 / (1 - kept**2)) - 1) < 0.02


@pytest.mark.parametrize("change", [{"number": 1}, {"last": 7.0}, {"last_variance": 0.0}])
def test_levels_have_to_fall(change):
    with pytest.raises(ConfigError, match="levels"):
        NoiseLevels(**change)


def test_a_schedule_is_checked():
    with pytest.raises(ConfigError, match="steps"):
        Schedule(steps=0)
    with pytest.raises(ConfigError, match="lattice_noise"):
        Schedule(lattice_noise=-0.1)
