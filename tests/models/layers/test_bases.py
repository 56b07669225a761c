"""Bases against scipy, in float64, and their derivatives at the ends of their ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special

from gflownet_crystal.models.layers.bases import (
    GaussianBasis,
    RadialBesselBasis,
    SphericalBesselBasis,
    direction_harmonics,
    polynomial_envelope,
    spherical_bessel,
    spherical_bessel_zeros,
    zonal_harmonics,
)

N_ORDERS = 7


def directions(n: int, seed: int = 0) -> torch.Tensor:
    vectors = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return vectors / vectors.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 3e-6)])
@pytest.mark.parametrize("order", range(9))
def test_spherical_bessel_functions_equal_scipys(order, dtype, tolerance):
    x = torch.cat([torch.logspace(-8, 2.6, 4000), torch.tensor([0.0, order + 1.0])]).to(dtype)
    expected = special.spherical_jn(order, x.double().numpy())
    error = np.abs(spherical_bessel(order, x).double().numpy() - expected)
    assert error.max() < tolerance
    # relative too where the function is a small power of x
    small = ((x > 1e-3) & (x < 1)).numpy()
    assert (error[small] / np.abs(expected[small])).max() < 5 * tolerance


@pytest.mark.parametrize("order", range(4))
def test_slopes_of_spherical_bessel_functions_equal_scipys(order):
    x = torch.tensor([0.0, 1e-5, 0.3, order + 1.0, 8.0, 300.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(spherical_bessel(order, x).sum(), x)
    expected = special.spherical_jn(order, x.detach().numpy(), derivative=True)
    np.testing.assert_allclose(slope.numpy(), expected, atol=1e-13)


def test_zeros_are_zeros_in_order_and_none_is_missed():
    zeros = spherical_bessel_zeros(N_ORDERS, 20)
    for order in range(N_ORDERS):
        np.testing.assert_allclose(special.spherical_jn(order, zeros[order]), 0.0, atol=1e-14)
        # between two of them the function has one sign, so its samples change sign exactly at each
        x = np.linspace(0.5, zeros[order, -1] + 0.5, 100_000)
        changes = np.count_nonzero(np.diff(np.sign(special.spherical_jn(order, x))))
        assert changes == 20
        assert (np.diff(zeros[order]) > 0).all()


def test_radial_bessel_functions_follow_the_formula_and_are_orthonormal():
    cutoff = 5.0
    basis = RadialBesselBasis(8, cutoff)
    r = np.linspace(0.01, cutoff, 200)
    numbers = np.arange(1, 9)
    expected = np.sqrt(2 / cutoff) * np.sin(numbers * np.pi * r[:, None] / cutoff) / r[:, None]
    np.testing.assert_allclose(basis(torch.from_numpy(r)).numpy(), expected, atol=1e-12)

    def product(r: float, n: int, m: int) -> float:
        values = basis(torch.tensor([r], dtype=torch.float64))[0]
        return float(values[n] * values[m]) * r**2

    assert integrate.quad(product, 0, cutoff, args=(2, 2))[0] == pytest.approx(1.0, abs=1e-9)
    assert integrate.quad(product, 0, cutoff, args=(2, 5))[0] == pytest.approx(0.0, abs=1e-9)


def test_spherical_bessel_basis_is_orthonormal_over_the_ball():
    cutoff, n_functions = 6.0, 5
    basis = SphericalBesselBasis(N_ORDERS, n_functions, cutoff)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    r = torch.from_numpy((nodes + 1) * cutoff / 2)
    values = basis(r).numpy()
    measure = weights * cutoff / 2 * r.numpy() ** 2
    products = np.einsum("eln,elm,e->lnm", values, values, measure)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(n_functions), products.shape), atol=1e-12)
    zeros = spherical_bessel_zeros(N_ORDERS, n_functions)
    for order in range(N_ORDERS):
        expected = special.spherical_jn(order, zeros[order] * r.numpy()[:, None] / cutoff)
        ratio = values[:, order] / expected
        np.testing.assert_allclose(ratio / ratio[0], 1.0, rtol=1e-7)


def test_gaussians_follow_the_formula():
    basis = GaussianBasis(torch.arange(100, dtype=torch.float64) * 0.1, 10.0)
    r = np.linspace(0, 12, 50)
    expected = np.exp(-10.0 * (r[:, None] - 0.1 * np.arange(100)) ** 2)
    np.testing.assert_allclose(basis(torch.from_numpy(r)).numpy(), expected, atol=1e-15)
    spread = GaussianBasis.spread(5, 4.0)
    values = spread(torch.tensor([1.0, 2.0], dtype=torch.float64))
    np.testing.assert_allclose(values[:, 1].numpy(), [1.0, math.exp(-0.5)], rtol=1e-14)


@pytest.mark.parametrize("exponent", [3, 5, 6])
def test_envelope_and_two_derivatives_vanish_at_the_cutoff(exponent):
    x = torch.tensor([0.0, 1.0 - 1e-9, 1.0, 7.0], dtype=torch.float64, requires_grad=True)
    value = polynomial_envelope(x, exponent)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    np.testing.assert_allclose(value.detach().numpy(), [1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(slope.detach().numpy(), 0, atol=1e-12)
    np.testing.assert_allclose(curvature[1:].numpy(), 0, atol=1e-5)
    inner = polynomial_envelope(torch.linspace(0, 1, 50, dtype=torch.float64), exponent)
    assert (inner.diff() <= 1e-15).all()


def test_zonal_harmonics_equal_scipys():
    cosines = np.linspace(-1, 1, 101)
    values = zonal_harmonics(torch.from_numpy(cosines), N_ORDERS).numpy()
    for order in range(N_ORDERS):
        expected = np.sqrt((2 * order + 1) / (4 * np.pi)) * special.eval_legendre(order, cosines)
        np.testing.assert_allclose(values[:, order], expected, atol=1e-14)


def test_products_of_direction_harmonics_are_zonal_harmonics_of_the_angle():
    first, second = directions(300), directions(300, seed=1)
    left, right = direction_harmonics(first, N_ORDERS), direction_harmonics(second, N_ORDERS)
    assert left.shape == (300, N_ORDERS**2)
    expected = zonal_harmonics((first * second).sum(1), N_ORDERS)
    for order in range(N_ORDERS):
        columns = slice(order**2, (order + 1) ** 2)
        product = (left[:, columns] * right[:, columns]).sum(1)
        torch.testing.assert_close(product, expected[:, order], atol=1e-13, rtol=0)


def test_derivatives_are_finite_at_distance_zero_and_along_the_axes():
    r = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bases = [RadialBesselBasis(6, 5.0), GaussianBasis.spread(6, 5.0), SphericalBesselBasis(4, 6, 5.0)]
    for basis in bases:
        (slope,) = torch.autograd.grad(basis(r).sum(), r, create_graph=True)
        assert torch.isfinite(slope).all()
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double().requires_grad_()
    (slope,) = torch.autograd.grad(direction_harmonics(axes, N_ORDERS).sum(), axes)
    assert torch.isfinite(slope).all()
