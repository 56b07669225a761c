"""Functions of distances and angles in which networks on atoms read a crystal: all smooth, all in closed form.

Every function keeps the dtype and device of its argument, and its derivatives are finite, also at distance zero and
for parallel edges: angles enter as cosines or as unit vectors, never through an arc cosine.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

_SERIES_TERMS = 24


def polynomial_envelope(scaled: Tensor, exponent: int = 6) -> Tensor:
    """Smooth cutoff u(x), 1 at x = 0; zero, with two derivatives, from x = 1 on.

    GemsNet, equation 15 (its middle coefficient is p (p + 2): as printed, u(1) is not zero).

    Args:
        scaled: distances over the cutoff, any shape.
        exponent: p; the larger, the longer u stays near 1.
    """
    p = exponent
    # beyond the cutoff the polynomial is not needed, and its powers could overflow
    x = scaled.clamp(max=1.0)
    inside = (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x.square()
    return torch.where(scaled < 1.0, 1.0 - x**p * inside, 0.0)


def spherical_bessel(order: int, x: Tensor) -> Tensor:
    """Spherical Bessel function of the first kind j_l(x) for x >= 0, of the shape and dtype of ``x``.

    The upward recurrence where it is stable (x above l + 1), the power series below.
    """
    border = order + 1.0
    above = x.clamp(min=border)
    low, high = torch.sin(above) / above, torch.sin(above) / above.square() - torch.cos(above) / above
    if order == 0:
        recurrence = low
    else:
        for degree in range(1, order):
            low, high = high, (2 * degree + 1) / above * high - low
        recurrence = high
    below = x.clamp(max=border)
    half_square = -below.square() / 2
    # nested from the last term: 1 + q/(1 (2l+3)) (1 + q/(2 (2l+5)) (1 + ...))
    series = torch.ones_like(below)
    for term in range(_SERIES_TERMS, 0, -1):
        series = 1.0 + half_square / (term * (2 * order + 2 * term + 1)) * series
    factor = math.prod(range(1, 2 * order + 2, 2))
    return torch.where(x > border, recurrence, below**order / factor * series)


@lru_cache(maxsize=8)
def spherical_bessel_zeros(n_orders: int, n_zeros: int) -> NDArray[np.float64]:
    """Zeros z_ln of j_l, (n_orders, n_zeros) float64, found between those of the order below."""
    zeros = np.zeros((n_orders, n_zeros))
    # zeros of j_0; each order has one zero fewer that is enclosed
    brackets = np.arange(1, n_zeros + n_orders) * np.pi
    zeros[0] = brackets[:n_zeros]
    for order in range(1, n_orders):
        found = [
            brentq(lambda x, order=order: spherical_jn(order, x), low, high, xtol=1e-14, rtol=1e-15)
            for low, high in pairwise(brackets)
        ]
        brackets = np.array(found)
        zeros[order] = brackets[:n_zeros]
    return zeros


class GaussianBasis(nn.Module):
    """Gaussians exp(-c (r - mu)^2) (GemsNet, equation 9; SchNet).

    Args:
        centres: (n,) mu, Å.
        sharpness: c, 1/Å^2.
    """

    centres: Tensor

    def __init__(self, centres: Tensor, sharpness: float) -> None:
        super().__init__()
        self.register_buffer("centres", centres, persistent=False)
        self.sharpness = sharpness

    @classmethod
    def spread(cls, n_functions: int, cutoff: float) -> GaussianBasis:
        """As many Gaussians, evenly from 0 to the cutoff (Å), as wide as they are apart."""
        spacing = cutoff / (n_functions - 1)
        centres = torch.arange(n_functions, dtype=torch.float64) * spacing
        return cls(centres, 0.5 / spacing**2)

    @property
    def n_functions(self) -> int:
        """Number of functions."""
        return len(self.centres)

    def forward(self, lengths: Tensor) -> Tensor:
        """(E,) Å -> (E, n)."""
        return torch.exp(-self.sharpness * (lengths[:, None] - self.centres.to(lengths)).square())


class RadialBesselBasis(nn.Module):
    """sqrt(2/c) sin(n pi r / c) / r for n = 1, 2, ... (GemsNet, equation 11; DimeNet).

    Args:
        n_functions: number of functions.
        cutoff: c, Å.
    """

    numbers: Tensor

    def __init__(self, n_functions: int, cutoff: float) -> None:
        super().__init__()
        self.register_buffer(
            "numbers", torch.arange(1, n_functions + 1, dtype=torch.float64), persistent=False
        )
        self.cutoff = cutoff

    @property
    def n_functions(self) -> int:
        """Number of functions."""
        return len(self.numbers)

    def forward(self, lengths: Tensor) -> Tensor:
        """(E,) Å -> (E, n)."""
        waves = self.numbers.to(lengths) / self.cutoff
        # sinc is smooth at r = 0
        return math.sqrt(2.0 / self.cutoff) * math.pi * waves * torch.sinc(lengths[:, None] * waves)


class SphericalBesselBasis(nn.Module):
    """Radial part of the circular basis, sqrt(2 / (c^3 j_{l+1}(z_ln)^2)) j_l(z_ln r / c) (GemsNet, equation 12).

    Orthonormal in n over the ball of radius c, for each l.

    Args:
        n_orders: l = 0 ... n_orders - 1.
        n_functions: n, for each l.
        cutoff: c, Å.
    """

    zeros: Tensor
    norms: Tensor

    def __init__(self, n_orders: int, n_functions: int, cutoff: float) -> None:
        super().__init__()
        zeros = spherical_bessel_zeros(n_orders, n_functions)
        next_order = np.stack([spherical_jn(order + 1, row) for order, row in enumerate(zeros)])
        norms = np.sqrt(2.0 / cutoff**3) / np.abs(next_order)
        self.register_buffer("zeros", torch.from_numpy(zeros / cutoff), persistent=False)
        self.register_buffer("norms", torch.from_numpy(norms), persistent=False)

    def forward(self, lengths: Tensor) -> Tensor:
        """(E,) Å -> (E, n_orders, n_functions)."""
        arguments = lengths[:, None, None] * self.zeros.to(lengths)
        values = [spherical_bessel(order, arguments[:, order]) for order in range(arguments.shape[1])]
        return torch.stack(values, dim=1) * self.norms.to(lengths)


def zonal_harmonics(cosines: Tensor, n_orders: int) -> Tensor:
    """Spherical harmonics Y_l0 as functions of the cosine of the angle, (T,) -> (T, n_orders)."""
    low, high = torch.ones_like(cosines), cosines
    legendre = [low, high]
    for degree in range(1, n_orders - 1):
        low, high = high, ((2 * degree + 1) * cosines * high - degree * low) / (degree + 1)
        legendre.append(high)
    scales = [math.sqrt((2 * order + 1) / (4 * math.pi)) for order in range(n_orders)]
    return torch.stack([scale * value for scale, value in zip(scales, legendre, strict=False)], dim=1)


def direction_harmonics(directions: Tensor, n_orders: int) -> Tensor:
    """Real spherical harmonics of unit vectors, scaled so that their products give Y_l0 of the angle between two.

    By the addition theorem, the sum over m of S_lm(u) S_lm(v) is Y_l0(angle of u and v): a sum over
    pairs of edges becomes two sums over edges. Polynomials of the components, so smooth everywhere.

    Args:
        directions: (E, 3) unit vectors.
        n_orders: l = 0 ... n_orders - 1.

    Returns:
        (E, n_orders^2), the 2l + 1 columns of each l together.
    """
    x, y, z = directions.unbind(dim=1)
    real, imaginary = torch.ones_like(x), torch.zeros_like(x)
    columns: dict[tuple[int, int], Tensor] = {}
    for m in range(n_orders):
        # real + i imaginary = (x + i y)^m; low, high: associated Legendre functions over sin^m
        low, high = torch.zeros_like(z), torch.full_like(z, float(math.prod(range(1, 2 * m, 2))))
        for degree in range(m, n_orders):
            scale = _harmonic_scale(degree, m)
            columns[degree, m] = scale * high * real
            if m > 0:
                columns[degree, -m] = scale * high * imaginary
            low, high = high, ((2 * degree + 1) * z * high - (degree + m) * low) / (degree - m + 1)
        real, imaginary = x * real - y * imaginary, x * imaginary + y * real
    return torch.stack([columns[key] for key in sorted(columns)], dim=1)


def _harmonic_scale(degree: int, m: int) -> float:
    ratio = math.factorial(degree - m) / math.factorial(degree + m) * (1 if m == 0 else 2)
    # sqrt(4 pi / (2 l + 1)) of the addition theorem times the square of the usual norm
    return math.sqrt(ratio * math.sqrt((2 * degree + 1) / (4 * math.pi)))
