"""Least energies of elements: a scan by the effective-medium potential, lattice sums of Lennard-Jones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.relaxation.elements import ElementSettings, least_energy
from tests.relaxation.metals import scanned_constant

# sums over the face-centred lattice of inverse 12th and 6th powers of distances by the nearest one; Kittel, chapter 3
A12, A6 = 12.13188, 14.45392


def test_copper_by_the_effective_medium_potential_is_the_minimum_of_a_scan() -> None:
    best = bulk("Cu", "fcc", scanned_constant())
    best.calc = EMT()
    crystals = [
        ("large", bulk("Cu", "fcc", 3.9)),
        ("near", bulk("Cu", "fcc", 3.7)),
        ("bcc", bulk("Cu", "bcc", 3.3)),
    ]
    found = least_energy(crystals, EMT(), ElementSettings(fmax=0.001))
    assert found.crystal == "near" and found.reason == ""
    assert found.energy == pytest.approx(best.get_potential_energy(), abs=1e-5)


def test_argon_by_lennard_jones_has_the_energy_of_the_lattice_sums() -> None:
    epsilon, sigma, cutoff = 0.0104, 3.4, 18.0
    calculator = LennardJones(sigma=sigma, epsilon=epsilon, rc=cutoff)
    found = least_energy([("fcc", bulk("Ar", "fcc", 5.31))], calculator, ElementSettings(fmax=1e-3))
    distance = sigma * (2 * A12 / A6) ** (1 / 6)
    density = math.sqrt(2) / distance**3
    # what lies beyond the cutoff, and the shift of each pair within it
    beyond = -8 / 3 * math.pi * density * epsilon * sigma**6 / cutoff**3
    shift = 2 * math.pi / 3 * density * cutoff**3 * 4 * epsilon * (sigma / cutoff) ** 6
    exact = -epsilon * A6**2 / (2 * A12)
    assert found.energy == pytest.approx(exact - beyond + shift, rel=1e-3)
    assert found.energy != pytest.approx(exact, rel=2e-3)


def test_a_crystal_that_runs_away_or_is_large_counts_as_it_was_given() -> None:
    near = bulk("Cu", "fcc", 3.61)
    near.calc = EMT()
    energy = near.get_potential_energy()
    assert energy < 0.0
    for settings in (
        ElementSettings(max_volume_change=1e-5),
        ElementSettings(largest=0),
        ElementSettings(steps=0),
    ):
        assert least_energy([("near", bulk("Cu", "fcc", 3.61))], EMT(), settings).energy == pytest.approx(
            energy
        )
    lower = least_energy([("near", bulk("Cu", "fcc", 3.61))], EMT(), ElementSettings())
    assert lower.energy < energy


def test_what_is_refused_or_not_bound_has_a_reason() -> None:
    refused = least_energy([("bcc", bulk("Fe", "bcc", 2.87))], EMT(), ElementSettings())
    assert math.isnan(refused.energy) and "NotImplementedError" in refused.reason
    unbound = least_energy([("wide", bulk("Cu", "fcc", 4.4))], EMT(), ElementSettings(steps=0))
    assert math.isnan(unbound.energy) and "not bound" in unbound.reason
    nothing = least_energy([], EMT(), ElementSettings())
    assert math.isnan(nothing.energy) and "no crystal" in nothing.reason
    kept = least_energy(
        [("bad", bulk("Fe", "bcc", 2.87)), ("good", bulk("Cu", "fcc", 3.6))], EMT(), ElementSettings()
    )
    assert kept.crystal == "good" and np.isfinite(kept.energy) and kept.reason == ""


@pytest.mark.parametrize(
    "wrong", [{"fmax": 0.0}, {"steps": -1}, {"largest": 1.5}, {"max_volume_change": "x"}]
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ElementSettings(**wrong)  # type: ignore[arg-type]
