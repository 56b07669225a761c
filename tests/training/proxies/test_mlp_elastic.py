"""Strain curves recover the parameters that made the data; random strains keep what a group demands."""

from __future__ import annotations

import numpy as np

from gflownet_crystal.data.prepare import prepare
from gflownet_crystal.data.standardize import symmetrise_parameters
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.mlp_data import parameters_of
from gflownet_crystal.training.proxies.mlp_elastic import (
    Elasticity,
    fit_elasticity,
    random_strains,
    strain_measures,
)
from tests.data.crystals import stored_frame


def test_fit_recovers_the_curves_of_made_up_crystals() -> None:
    rng = np.random.default_rng(0)
    truth = Elasticity(rng.uniform(2, 8, 30), rng.uniform(2.5, 5, 30), rng.uniform(1, 8, 30))
    rows = np.repeat(np.arange(30), 9)
    volume = 3 * np.log(np.tile([0.88, 0.94, 0.97, 1.04, 1.1, 1.2, 1.0, 1.0, 1.0], 30))
    shear = np.tile([0.0] * 6 + [0.01, 0.03, 0.06], 30)
    fitted = fit_elasticity(30, rows, volume, shear, truth.energy(rows, volume, shear))
    stiffness = truth.depth * truth.exponent**2
    np.testing.assert_allclose(fitted.depth * fitted.exponent**2, stiffness, rtol=0.15)
    np.testing.assert_allclose(fitted.shape, truth.shape, rtol=1e-6)
    assert fitted.energy(np.arange(30), np.zeros(30), np.zeros(30)).max() == 0


def test_measures_of_scaling_and_of_a_volume_preserving_strain() -> None:
    cell = np.array([[4.0, 5.0, 6.0, 90.0, 90.0, 90.0]])
    bigger = cell * np.array([1.1, 1.1, 1.1, 1, 1, 1])
    volume, shear = strain_measures(cell, bigger)
    np.testing.assert_allclose([volume[0], shear[0]], [3 * np.log(1.1), 0], atol=1e-12)
    bent = cell * np.array([np.exp(0.1), np.exp(-0.1), 1, 1, 1, 1])
    volume, shear = strain_measures(cell, bent)
    np.testing.assert_allclose([volume[0], shear[0]], [0, 0.02], atol=1e-12)


def test_random_strains_stay_within_the_lattice_system() -> None:
    specs = frame_to_specs(prepare(stored_frame()))
    truth, group = parameters_of(specs), specs.space_group.numpy()
    rng = np.random.default_rng(0)
    changed = 0
    for _ in range(20):
        strained = random_strains(truth, group, rng)
        np.testing.assert_allclose(symmetrise_parameters(strained, group), strained)
        volume, _ = strain_measures(truth, strained)
        assert np.isfinite(volume).all() and (np.abs(volume) < 1.7).all()
        changed += int((np.abs(volume) > 0.01).sum())
    assert changed > 100
