"""A quasi-Newton minimizer of many functions at once: BFGS in a trust radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

FIRST_RADIUS, LARGEST_RADIUS, LEAST_RADIUS = 0.2, 0.4, 1e-3
"""Å; bounds of a step: of the first one, and the range in which it grows and shrinks. The least is always taken."""

_NOISE = 2e-6
"""Rounding of energies in single precision, relative to the larger of the energy and 1 eV."""

_LEAST_CURVATURE = 0.2
"""Share of the foreseen curvature along a step that is kept where less was found (Powell 1978)."""


@dataclass(frozen=True)
class Minimizer:
    """n searches for a minimum in at most f coordinates.

    Attributes:
        values: (n, f) float64, the best coordinates so far.
        energy: (n,) float64, their energies, eV; infinite before the first.
        slopes: (n, f) float64, derivatives there.
        hessian: (n, f, f) float64, approximate second derivatives, positive definite.
        radius: (n,) float64, bound of the next step, in the measure of the steps.
        trial: (n, f) float64, the coordinates that are to be computed next.
    """

    values: Tensor
    energy: Tensor
    slopes: Tensor
    hessian: Tensor
    radius: Tensor
    trial: Tensor

    @classmethod
    def start(cls, hessian: Tensor) -> Self:
        """One search from coordinates of zero, with second derivatives (f, f)."""
        zeros = hessian.new_zeros((1, hessian.shape[-1]))
        energy = hessian.new_full((1,), torch.inf)
        radius = hessian.new_full((1,), FIRST_RADIUS)
        return cls(zeros, energy, zeros, hessian[None], radius, zeros)

    @classmethod
    def cat(cls, batches: list[Self]) -> Self:
        """The searches of all batches one after the other; coordinates that one lacks have unit curvature."""
        most = max(batch.values.shape[1] for batch in batches)
        return cls(
            *(torch.cat(parts) for parts in zip(*(batch._widened(most) for batch in batches), strict=True))
        )

    def select(self, rows: Tensor) -> Self:
        """The searches of a mask, (n,) bool."""
        return type(self)(*(tensor[rows] for tensor in vars(self).values()))

    def _widened(self, width: int) -> list[Tensor]:
        more = width - self.values.shape[1]
        hessian = pad(self.hessian, (0, more, 0, more))
        hessian[:, range(width - more, width), range(width - more, width)] = 1.0
        return [
            pad(self.values, (0, more)),
            self.energy,
            pad(self.slopes, (0, more)),
            hessian,
            self.radius,
            pad(self.trial, (0, more)),
        ]

    def told(self, energy: Tensor, slopes: Tensor, length: Tensor, strictly: Tensor) -> tuple[Tensor, Self]:
        """The searches after their trials were computed, and whose trial is its best, (n,) bool.

        Args:
            energy: (n,) eV.
            slopes: (n, f) derivatives.
            length: (n,) extents of the steps to the trials.
            strictly: (n,) bool, whose trial is taken only if it is lower by more than rounding.
        """
        first = self.energy.isinf()
        step = self.trial - self.values
        hessian = torch.where(
            first[:, None, None], self.hessian, _updated(self.hessian, step, slopes - self.slopes)
        )
        foreseen = (self.slopes * step).sum(1) + 0.5 * torch.einsum("nf,nfg,ng->n", step, self.hessian, step)
        gained = energy - self.energy
        noise = _NOISE * energy.abs().clamp(min=1.0)
        better = (
            torch.where(strictly, gained < -noise, (gained <= noise) | (self.radius <= LEAST_RADIUS)) | first
        )
        ratio = gained / foreseen.clamp(max=-1e-12)
        wider = better & ~first & (ratio > 0.5) & (length > 0.7 * self.radius)
        radius = torch.where(wider, 2.0 * self.radius, self.radius)
        radius = torch.where(better, radius, 0.4 * torch.minimum(length, self.radius))
        chosen = better[:, None]
        return better, type(self)(
            torch.where(chosen, self.trial, self.values),
            torch.where(better, energy, self.energy),
            torch.where(chosen, slopes, self.slopes),
            hessian,
            radius.clamp(LEAST_RADIUS, LARGEST_RADIUS),
            self.trial,
        )

    def directions(self) -> Tensor:
        """Quasi-Newton steps (n, f) from the best coordinates, of any length."""
        factor, fault = torch.linalg.cholesky_ex(self.hessian)
        newton = torch.cholesky_solve(self.slopes[:, :, None], factor)[:, :, 0]
        # rounding can spoil second derivatives: then straight downhill
        return -torch.where((fault == 0)[:, None] & newton.isfinite(), newton, self.slopes)

    def stepped(self, direction: Tensor, length: Tensor) -> Self:
        """The searches with the next trials: along directions (n, f) of extents (n,), within the radius."""
        shrunk = (self.radius / length.clamp(min=1e-12)).clamp(max=1.0)
        trial = self.values + shrunk[:, None] * direction
        return type(self)(self.values, self.energy, self.slopes, self.hessian, self.radius, trial)


def _updated(hessian: Tensor, step: Tensor, change: Tensor) -> Tensor:
    """Second derivatives after a step (n, f) and the change of the slopes, damped (Powell 1978) to stay positive."""
    product = torch.einsum("nfg,ng->nf", hessian, step)
    curvature = (step * product).sum(1).clamp(min=1e-16)
    measured = (step * change).sum(1)
    lacking = measured < _LEAST_CURVATURE * curvature
    share = torch.where(lacking, (1.0 - _LEAST_CURVATURE) * curvature / (curvature - measured), 1.0)[:, None]
    change = share * change + (1.0 - share) * product
    measured = (step * change).sum(1)
    scaled = change / measured[:, None]
    update = scaled[:, :, None] * change[:, None, :]
    update = update - (product / curvature[:, None])[:, :, None] * product[:, None, :]
    moved = (step.square().sum(1) > 1e-16)[:, None, None]
    return torch.where(moved, hessian + update, hessian)
