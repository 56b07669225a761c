"""The linear programs of the hull against scipy's, and the hull's own laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from gflownet_crystal.common.errors import ProxyError
from gflownet_crystal.proxies.hull import EnergyAboveHull, LearnedHull
from gflownet_crystal.proxies.hull_program import lowest_mixture
from gflownet_crystal.structures.formulas import text_to_composition
from tests.proxies.test_mlp import random_specs


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 10_000))
def test_batched_simplex_finds_the_optimum_of_highs(k: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, energies = rng.dirichlet(np.full(k, 0.7), m), rng.normal(-0.5, 1.0, (6, m))
    fractions = rng.dirichlet(np.ones(k), 6)
    found = lowest_mixture(*(torch.from_numpy(array) for array in (fractions, points, energies)))
    for row in range(6):
        phases = np.concatenate([points, np.eye(k)])
        cost = np.concatenate([energies[row], np.zeros(k)])
        best = linprog(cost, A_eq=phases.T, b_eq=fractions[row], bounds=(0, None), method="highs")
        assert float(found[row]) == pytest.approx(best.fun, abs=1e-8)


def test_binary_hull_is_the_line_below_two_phases() -> None:
    points = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).double()
    fractions = torch.tensor([[0.4, 0.6], [0.6, 0.4], [0.25, 0.75]]).double()
    energies = torch.tensor([[-1.0, -0.8]]).double().expand(3, -1)
    # between the phases: -0.8 - 0.2 * 0.6; between the first and the pure element: -1.0 * 0.8
    expected = torch.tensor([-0.92, -0.8, -0.8]).double()
    torch.testing.assert_close(lowest_mixture(fractions, points, energies), expected)


@pytest.fixture(scope="module")
def hull() -> LearnedHull:
    return LearnedHull.from_weights()


def test_elements_are_at_zero_and_compounds_at_most_there(hull: LearnedHull) -> None:
    energy = hull.hull_energy(text_to_composition(["Fe1", "O8", "Na1 Cl1", "Cu3 Au1", "Ba1 Ti1 O3"]))
    torch.testing.assert_close(energy[:2], torch.zeros(2).double())
    assert bool((energy <= 0).all())


def test_stable_compounds_are_near_the_published_hull(hull: LearnedHull) -> None:
    # Materials Project formation energies of stable compounds, eV/atom
    known = {
        "Na1 Cl1": -2.11,
        "Mg1 O1": -3.05,
        "Al2 O3": -3.44,
        "Li1 F1": -3.18,
        "Si1 O2": -3.29,
        "Zn1 S1": -1.02,
    }
    energy = hull.hull_energy(text_to_composition(list(known)))
    assert float((energy - torch.tensor(list(known.values()))).abs().mean()) < 0.15


def test_hull_does_not_depend_on_multiples_order_or_batch(hull: LearnedHull) -> None:
    formulas = ["Na2 Cl2 O1", "Ba1 Ti1 O3", "Li3 P1 S4", "Cu3 Au1"]
    energy = hull.hull_energy(text_to_composition(formulas))
    twice = hull.hull_energy(text_to_composition(formulas[::-1]) * 2).flip(0)
    torch.testing.assert_close(energy, twice, rtol=0, atol=1e-6)


def test_proxy_is_energy_minus_hull() -> None:
    proxy, specs = EnergyAboveHull(), random_specs(10)
    difference = proxy.energy(specs).value - proxy(specs).value
    torch.testing.assert_close(difference, proxy.hull.hull_energy(specs.composition))


def test_too_many_elements_are_refused(hull: LearnedHull) -> None:
    composition = torch.zeros(2, 119, dtype=torch.int64)
    composition[0, 3], composition[1, 3:13] = 1, 1
    with pytest.raises(ProxyError, match="spec 1 has 10 elements"):
        hull.hull_energy(composition)
