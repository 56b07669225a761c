"""L3, and what edges say of it, against closed forms and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.generators.placing.annealing import unit_cells
from gflownet_crystal.models.langevin.lattice_lengths import (
    equal_lengths,
    length_gradients,
    mean_change,
    slope,
    stretched,
    to_lengths,
    to_reals,
)

GROUPS = torch.tensor([16, 75, 143, 166, 195, 225])


@given(st.floats(0.05, 400.0))
def test_lengths_and_reals_are_inverse(length):
    x = torch.tensor([length], dtype=torch.float64)
    assert torch.allclose(to_lengths(to_reals(x)), x, rtol=1e-10)


@given(st.floats(-60.0, 400.0))
def test_every_real_is_a_length(real):
    length = to_lengths(torch.tensor(real, dtype=torch.float64))
    assert length > 0
    assert math.isclose(
        float(length), 10 * math.log1p(math.exp(-abs(real) / 10)) + max(real, 0), rel_tol=1e-9
    )


@given(st.floats(0.5, 50.0))
def test_slope_is_the_derivative(length):
    real = to_reals(torch.tensor(length, dtype=torch.float64)).requires_grad_(True)
    to_lengths(real).backward()
    assert torch.isclose(real.grad, slope(torch.tensor(length, dtype=torch.float64)), rtol=1e-9)


def test_lengths_that_are_equal_by_symmetry():
    expected = [[0, 1, 2], [0, 0, 2], [0, 0, 2], [0, 0, 2], [0, 0, 0], [0, 0, 0]]
    assert equal_lengths(GROUPS).tolist() == expected


def edges(seed: int = 0):
    """Cells of all groups with edges between random fractional points, and their L3."""
    generator = torch.Generator().manual_seed(seed)
    n, k = len(GROUPS), 7
    sources = equal_lengths(GROUPS)
    reals = (4 + 4 * torch.rand(n, 3, generator=generator, dtype=torch.float64)).gather(1, sources)
    fractional = torch.randn(n, k, 3, generator=generator, dtype=torch.float64)
    return sources, reals, fractional


def vectors_of(reals, fractional):
    cell = stretched(unit_cells(GROUPS), to_lengths(reals))
    return fractional @ cell, cell


def test_gradients_of_edge_lengths():
    sources, reals, fractional = edges()
    vectors, cell = vectors_of(reals, fractional)
    found = length_gradients(vectors, cell, sources, torch.arange(len(GROUPS)))
    for column in range(3):
        step = torch.zeros(len(GROUPS), 3, dtype=torch.float64)
        step[:, column] = 1e-6
        # a length that follows another one cannot be changed alone
        step = step.gather(1, sources)
        ends = [vectors_of(reals + sign * step, fractional)[0].norm(dim=2) for sign in (1, -1)]
        slopes = (ends[0] - ends[1]) / 2e-6
        own = (sources[:, column] == column)[:, None]
        assert torch.allclose(found[:, :, column], torch.where(own, slopes, 0.0), atol=1e-7)


@pytest.mark.parametrize("group", [195, 225])
def test_one_free_length_is_read_exactly(group):
    sources, reals, fractional = edges()
    vectors, cell = vectors_of(reals, fractional)
    owner = torch.arange(len(GROUPS))
    gradients = length_gradients(vectors, cell, sources, owner)
    wanted = torch.randn(len(GROUPS), 3, dtype=torch.float64).gather(1, sources)
    own = sources == torch.arange(3)
    amounts = (gradients * (wanted * own)[:, None]).sum(2)
    weights = torch.rand(amounts.shape, dtype=torch.float64)
    row = GROUPS.tolist().index(group)
    found = mean_change(amounts, gradients, weights, sources, owner)
    assert torch.allclose(found[row], wanted[row], atol=1e-9)
    assert torch.equal(found, found.gather(1, sources))
