"""The linear programs of the hull against scipy's, and the learned hull's own laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from gflownet_crystal.common.errors import ProxyError
from gflownet_crystal.proxies import hull_program
from gflownet_crystal.proxies.hull_program import lowest_mixture
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.structures.formulas import text_to_composition


def optimum(fractions: np.ndarray, points: np.ndarray, energies: np.ndarray) -> float:
    """The lowest mixture by HiGHS; the pure components are added at 0."""
    phases = np.concatenate([points, np.eye(len(fractions))])
    cost = np.concatenate([energies, np.zeros(len(fractions))])
    return linprog(cost, A_eq=phases.T, b_eq=fractions, bounds=(0, None), method="highs").fun


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 10_000), st.booleans())
def test_batched_simplex_finds_the_optimum_of_highs(k: int, m: int, seed: int, shared: bool) -> None:
    rng = np.random.default_rng(seed)
    points = rng.dirichlet(np.full(k, 0.7), m if shared else (6, m))
    energies, fractions = rng.normal(-0.5, 1.0, (6, m)), rng.dirichlet(np.ones(k), 6)
    found = lowest_mixture(*(torch.from_numpy(array) for array in (fractions, points, energies)))
    for row in range(6):
        best = optimum(fractions[row], points if shared else points[row], energies[row])
        assert float(found[row]) == pytest.approx(best, abs=1e-8)


@given(st.integers(2, 5), st.integers(0, 10_000), st.booleans())
def test_ties_of_simple_stoichiometries_do_not_stop_the_simplex(k: int, seed: int, greedy: bool) -> None:
    # whole energies at fractions of small counts: many mixtures are equal, and compositions lie on phases
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (40, k))
    counts[counts.sum(1) == 0] = 1
    points = counts / counts.sum(1, keepdims=True)
    energies = -np.rint(2 * (1 - (points**2).sum(1))) * np.ones((40, 1))
    fractions = points[(points > 0).all(1)][:4]
    energies = energies[: len(fractions)]
    with pytest.MonkeyPatch.context() as patch:
        # Bland's rule, which takes over after many exchanges, from the start
        patch.setattr(hull_program, "_GREEDY_PIVOTS", 60 if greedy else 0)
        found = lowest_mixture(*(torch.from_numpy(array) for array in (fractions, points, energies)))
    expected = [optimum(x, points, e) for x, e in zip(fractions, energies, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-8)


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


def test_compositions_that_no_hull_is_made_for_are_refused(hull: LearnedHull) -> None:
    composition = torch.zeros(2, 119, dtype=torch.int64)
    composition[0, 3], composition[1, 3:13] = 1, 1
    with pytest.raises(ProxyError, match="spec 1 has 10 elements"):
        hull.hull_energy(composition)
    composition[1] = 0
    with pytest.raises(ProxyError, match="spec 1 has 0 elements"):
        hull.hull_energy(composition)
    composition[0, 0] = 1
    with pytest.raises(ProxyError, match="spec 0 has unknown"):
        hull.hull_energy(composition)
    with pytest.raises(ProxyError, match="119"):
        hull.hull_energy(composition[:, :50])
