"""Weights of edges that fade: their sums, their smoothness, and crystals whose shells are known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from gflownet_crystal.models.layers.fading import edge_weights, fade_out, soft_reach

FADE = 0.6


def some_lengths(seed: int, n_atoms: int = 5, degree: int = 30) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = 2 + 4 * torch.rand(n_atoms * degree, generator=generator, dtype=torch.float64)
    return lengths, torch.arange(n_atoms).repeat_interleave(degree)


def test_fade_out_is_a_smooth_step():
    x = torch.tensor([-1.0, 0.0, FADE / 2, FADE, 3.0, math.inf], dtype=torch.float64)
    assert fade_out(x, FADE).tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0, 1.0])
    for end in (0.0, FADE):
        edge = torch.tensor(end, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(fade_out(edge, FADE), edge, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, edge)
        assert slope.item() == pytest.approx(0.0, abs=1e-12)
        assert curvature.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("neighbours", [1, 12])
def test_the_reach_solves_its_equation(neighbours):
    lengths, source = some_lengths(0)
    reach = soft_reach(lengths, source, 5, neighbours, FADE)
    for atom in range(5):
        own = lengths[source == atom]
        expected = brentq(
            lambda r, own=own: float(fade_out(r - own, FADE).sum()) - neighbours, 0, 10, xtol=1e-13
        )
        assert reach[atom].item() == pytest.approx(expected, abs=1e-10)
        kth = own.sort().values[neighbours - 1].item()
        assert kth < reach[atom].item() <= kth + FADE + 1e-12


def test_the_derivative_of_the_reach_is_a_numerical_one():
    lengths, source = some_lengths(1, n_atoms=2)
    lengths.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_reach(x, source, 2, 12, FADE), lengths, atol=1e-6)


def test_atoms_with_too_few_neighbours_see_to_the_cutoff():
    lengths, source = torch.tensor([2.0, 3.0, 3.9], dtype=torch.float64), torch.tensor([1, 1, 1])
    assert soft_reach(lengths, source, 3, 4, FADE).tolist() == [math.inf] * 3
    options = {"cutoff": 4.0, "fade": FADE, "symmetric": False}
    weights = edge_weights(lengths, source, source, 3, neighbours=4, **options)
    assert weights.tolist() == pytest.approx([1.0, 1.0, fade_out(torch.tensor(0.1), FADE).item()], abs=1e-6)


@pytest.mark.parametrize(
    ("shells", "expected"), [([(12, 2.5), (6, 3.54)], [1.0, 0.0]), ([(4, 2.3), (12, 3.8)], [1.0, 2 / 3])]
)
def test_whole_shells_share_what_is_left(shells, expected):
    """Face-centred cubic: all 12 of the first shell, in full. Diamond: the second shell's 12 share the remaining 8."""
    lengths = torch.cat([torch.full((n,), r, dtype=torch.float64) for n, r in shells])
    lengths.requires_grad_()
    source = torch.zeros(len(lengths), dtype=torch.int64)
    weights = edge_weights(lengths, source, source, 1, cutoff=8.0, neighbours=12, fade=FADE, symmetric=False)
    for (n, _), value, found in zip(shells, expected, weights.split([n for n, _ in shells]), strict=True):
        torch.testing.assert_close(found, torch.full((n,), value, dtype=torch.float64), atol=1e-9, rtol=0)
    # a shell that breathes keeps its share; gradients are finite though the reach is not unique
    (gradient,) = torch.autograd.grad(weights.sum(), lengths)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)


def test_symmetric_weights_are_those_of_either_end():
    lengths = torch.tensor([2.0, 2.0, 2.5, 2.5], dtype=torch.float64)
    source, target = torch.tensor([0, 1, 0, 2]), torch.tensor([1, 0, 2, 0])
    weights = edge_weights(lengths, source, target, 3, cutoff=None, neighbours=1, fade=FADE, symmetric=True)
    directed = edge_weights(lengths, source, target, 3, cutoff=None, neighbours=1, fade=FADE, symmetric=False)
    given, taken = directed.tolist(), directed[[1, 0, 3, 2]].tolist()
    assert weights.tolist() == pytest.approx(
        [1 - (1 - a) * (1 - b) for a, b in zip(given, taken, strict=True)]
    )
    # atom 2 has one neighbour only and holds on to it; atom 0 divides its one neighbour between two
    assert directed[3].item() == pytest.approx(1.0)
    assert directed[[0, 2]].sum().item() == pytest.approx(1.0)
    assert directed[0] > directed[2] > 0


def test_weights_move_smoothly_where_neighbours_change_places():
    """The k-th and the next neighbour swap: weights move by steps as small as the motion."""
    fixed = torch.linspace(2.0, 4.0, 11, dtype=torch.float64)
    largest = []
    for steps in (50, 1600):
        path = torch.linspace(3.8, 4.4, steps, dtype=torch.float64)
        source = torch.zeros(13, dtype=torch.int64)
        rows = [torch.cat([fixed, torch.stack([x, 8.2 - x])]) for x in path]
        weights = torch.stack(
            [
                edge_weights(r, source, source, 1, cutoff=8.0, neighbours=12, fade=FADE, symmetric=False)
                for r in rows
            ]
        )
        largest.append(weights.diff(dim=0).abs().max().item())
    assert largest[1] < 1.1 * largest[0] * 49 / 1599
