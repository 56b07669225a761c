"""Noise schedules of diffusions, with their marginals and posteriors.

Step 0 is the data, step T the prior. A variance-preserving schedule scales the data down as noise comes in (Ho et al.,
NeurIPS 2020); a variance-exploding one only adds noise, as on a torus, where scaling has no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.moving import CopiedToDevice


def linear_betas(first: float, last: float, steps: int) -> Tensor:
    """Variances beta_1 ... beta_T of the steps, evenly from the first to the last, (T,) float64."""
    return torch.linspace(first, last, steps, dtype=torch.float64)


@dataclass(frozen=True)
class VariancePreserving(CopiedToDevice):
    """q(x_t | x_0) = N(sqrt(abar_t) x_0, 1 - abar_t).

    Attributes:
        kept: (T + 1,) float64, abar_t, which is 1 at step 0.
    """

    kept: Tensor

    @classmethod
    def of(cls, betas: Tensor) -> Self:
        """From the variances of the steps, (T,)."""
        return cls(torch.cat([betas.new_ones(1), (1.0 - betas).cumprod(0)]))

    def marginal(self, start: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """A draw of x_t.

        Args:
            start: (n, d), x_0.
            step: (n,) int64, t.
            noise: (n, d), standard normal.
        """
        kept = self.kept[step][:, None]
        return kept.sqrt() * start + (1.0 - kept).sqrt() * noise

    def velocity(self, start: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """sqrt(abar) noise - sqrt(1 - abar) x_0: a target of one size at all steps (Salimans and Ho, ICLR 2022)."""
        kept = self.kept[step][:, None]
        return kept.sqrt() * noise - (1.0 - kept).sqrt() * start

    def start_from_velocity(self, noisy: Tensor, step: Tensor, velocity: Tensor) -> Tensor:
        """x_0 from x_t and the velocity, (n, d) each."""
        kept = self.kept[step][:, None]
        return kept.sqrt() * noisy - (1.0 - kept).sqrt() * velocity

    def posterior(self, noisy: Tensor, start: Tensor, step: Tensor, to: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (n, d) and deviation (n, 1) of q(x_s | x_t, x_0), the paper's equation 6 where s = t - 1.

        Args:
            noisy: (n, d), x_t.
            start: (n, d), x_0.
            step: (n,) int64, t, at least 1.
            to: (n,) int64, s below t.
        """
        kept, kept_to = self.kept[step][:, None], self.kept[to][:, None]
        ratio = kept / kept_to
        of_start = kept_to.sqrt() * (1.0 - ratio) / (1.0 - kept)
        of_noisy = ratio.sqrt() * (1.0 - kept_to) / (1.0 - kept)
        return of_start * start + of_noisy * noisy, self.deviation(step, to)[:, None]

    def deviation(self, step: Tensor, to: Tensor) -> Tensor:
        """Square root of beta tilde, the variance of q(x_s | x_t, x_0), (n,); 0 where s = 0."""
        kept, kept_to = self.kept[step], self.kept[to]
        return ((1.0 - kept_to) / (1.0 - kept) * (1.0 - kept / kept_to)).sqrt()


@dataclass(frozen=True)
class VarianceExploding(CopiedToDevice):
    """q(x_t | x_0) = N(x_0, v_t).

    Attributes:
        variance: (T + 1,) float64, v_t, rising from 0 at step 0.
    """

    variance: Tensor

    @classmethod
    def geometric(cls, first: float, last: float, steps: int) -> Self:
        """Deviations in a geometric row from step 1 to T.

        Raises:
            ConfigError: they do not rise from above zero.
        """
        if not 0.0 < first < last:
            raise ConfigError(f"standard deviations go from {first} to {last}; they must rise and be above 0")
        exponent = torch.linspace(0.0, 1.0, steps, dtype=torch.float64)
        variance = (first * (last / first) ** exponent).square()
        return cls(torch.cat([variance.new_zeros(1), variance]))

    @classmethod
    def of(cls, betas: Tensor) -> Self:
        """v_t = 1 - abar_t (GemsDiff, equation 16), from the variances of the steps, (T,)."""
        return cls(1.0 - VariancePreserving.of(betas).kept)

    def shrinkage(self, step: Tensor, to: Tensor) -> tuple[Tensor, Tensor]:
        """Mean share of the way to x_0 covered from t to s, and the deviation around it, (n,) each.

        q(x_s | x_t, x_0) = N(x_t + (1 - v_s / v_t) (x_0 - x_t), v_s (v_t - v_s) / v_t).

        Args:
            step: (n,) int64, t, at least 1.
            to: (n,) int64, s below t.
        """
        now, then = self.variance[step], self.variance[to]
        return 1.0 - then / now, (then * (now - then) / now).sqrt()
