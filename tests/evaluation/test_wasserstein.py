"""Properties against pymatgen, distances against scipy, and floors against what sampling theory says."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import wasserstein_distance

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.wasserstein import distance_of_finite, noise_floor, structure_properties
from gflownet_crystal.structures.convert import to_pymatgen
from tests.evaluation.crystals import some_crystals


def test_properties_are_pymatgens():
    crystals = some_crystals()
    found = structure_properties(crystals)
    structures = to_pymatgen(crystals)
    assert found["density"].tolist() == pytest.approx([float(s.density) for s in structures], rel=1e-6)
    assert found["n_elements"].tolist() == [len(s.composition.elements) for s in structures]
    assert found["volume_per_atom"].tolist() == pytest.approx([s.volume / len(s) for s in structures])


def test_distances_are_scipys_without_what_is_not_finite():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(80, generator=generator), 1.5 * torch.randn(60, generator=generator) + 0.3
    spoilt = torch.cat([first, torch.tensor([torch.nan, torch.inf])])
    assert distance_of_finite(spoilt, second) == pytest.approx(wasserstein_distance(first, second))
    with pytest.raises(DataError, match="finite"):
        distance_of_finite(torch.tensor([torch.nan]), second)


def test_the_floor_is_what_sampling_gives():
    # of n uniform numbers the mean distance to their distribution is the integral of E|F_n - F|, which tends to
    # sqrt(2 / (pi n)) times the integral of sqrt(x (1 - x)), pi / 8
    n = 400
    uniform = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    floor = noise_floor(uniform, n, torch.Generator().manual_seed(0), n_resamples=300)
    assert floor == pytest.approx(math.sqrt(2.0 / (math.pi * n)) * math.pi / 8.0, rel=0.08)
    with pytest.raises(DataError, match="at least one"):
        noise_floor(uniform, 0, torch.Generator())
