"""Training objectives on complete trajectories.

All compare the forward policy with an unnormalised density of trajectories, the target: ``R(x) P_B(tau | x)``, whose
objects are distributed as ``R(x) / Z`` for every backward policy, or one that a frozen prior takes part in
(:mod:`gflownet_crystal.gflownet.prior`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError


class Objective(ABC):
    """A loss of a batch of trajectories.

    Attributes:
        takes_prior: a target with a prior in it makes sense.
        needs_prior: a target without one does not.
    """

    takes_prior: ClassVar[bool] = False
    needs_prior: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, log_z: Tensor, log_pf: Tensor, log_target: Tensor) -> Tensor:
        """() loss.

        Args:
            log_z: () logarithm of the partition function.
            log_pf: (n,) forward log-probability of each trajectory.
            log_target: (n,) logarithm of its unnormalised target density, with respect to the stages' coordinates:
                ``log R + log P_B`` without a prior.
        """


class TrajectoryBalance(Objective):
    """``(log Z + log P_F - log R - log P_B)^2`` (Malkin et al. 2022, equation 14), averaged over the batch.

    Args:
        huber: residuals beyond it count linearly, or None for the plain square; a few wild rows of an early batch
            then do not drown the rest.
    """

    def __init__(self, huber: float | None = None) -> None:
        self.huber = _checked_huber(huber)

    def __call__(self, log_z: Tensor, log_pf: Tensor, log_target: Tensor) -> Tensor:
        return _mean_square(log_z + log_pf - log_target, self.huber)


class RelativeTrajectoryBalance(TrajectoryBalance):
    """``(log Z + log P_F - w log P_prior - log R)^2`` (Venkatraman et al. 2024, for w = 1).

    Its objects are distributed as ``prior(x)^w R(x) / Z``; :class:`gflownet_crystal.gflownet.prior.Prior` says how
    the prior enters the target for each weight w.

    Args:
        huber: residuals beyond it count linearly, or None for the plain square.
    """

    takes_prior = True
    needs_prior = True

    def __init__(self, huber: float | None = 5.0) -> None:
        super().__init__(huber)


class LogVariance(Objective):
    """Variance of ``log R + log P_B - log P_F``: trajectory balance with the batch's own ``log Z``.

    (Zhang et al. 2023, "Robust scheduling with GFlowNets", equation 6; also called VarGrad.) The learned ``log Z``
    still follows the batch mean, so that it is an estimate of the partition function. With a prior it is the
    variance of the same residual as that of relative trajectory balance.

    Args:
        huber: residuals beyond it count linearly, or None for the plain square.
    """

    takes_prior = True

    def __init__(self, huber: float | None = None) -> None:
        self.huber = _checked_huber(huber)

    def __call__(self, log_z: Tensor, log_pf: Tensor, log_target: Tensor) -> Tensor:
        estimate = log_target - log_pf
        centre = estimate.mean().detach()
        return _mean_square(centre - estimate, self.huber) + (log_z - centre).square()


def _checked_huber(huber: float | None) -> float | None:
    # from infinity on, the linear part would be infinity minus infinity
    if huber is not None and not 0.0 < huber < math.inf:
        raise ConfigError(f"huber must be positive and finite, or null, not {huber}")
    # a whole number of more than 64 bits is no number to torch
    return None if huber is None else float(huber)


def _mean_square(residual: Tensor, huber: float | None) -> Tensor:
    if huber is None:
        return residual.square().mean()
    size = residual.abs()
    return torch.where(size < huber, residual.square(), huber * (2.0 * size - huber)).mean()
