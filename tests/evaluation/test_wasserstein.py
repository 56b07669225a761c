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
    # of samples of n and m uniform numbers the mean distance is the integral of E|F_n - F_m|, which tends to
    # sqrt(2 / pi (1/n + 1/m)) times the integral of sqrt(x (1 - x)), pi / 8
    n, m = 400, 1200
    uniform = (torch.arange(m, dtype=torch.float64) + 0.5) / m
    mean, high = noise_floor(uniform, uniform, n, torch.Generator().manual_seed(0), n_resamples=300)
    assert mean == pytest.approx(math.sqrt(2.0 / math.pi * (1 / n + 1 / m)) * math.pi / 8.0, rel=0.08)
    assert 1.5 * mean < high < 3.0 * mean
    with pytest.raises(DataError, match="at least one"):
        noise_floor(uniform, uniform, 0, torch.Generator())


def test_the_floor_knows_which_values_a_sample_may_hold():
    reference = torch.cat([torch.zeros(500), torch.ones(500)]).double()
    mean, _ = noise_floor(reference[:500], reference, 200, torch.Generator().manual_seed(0))
    assert mean == pytest.approx(0.5, abs=0.02)
