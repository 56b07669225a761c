"""Training objectives that compare whole trajectories.

All compare the forward policy with an unnormalised density of trajectories, the target: ``R(x) P_B(tau | x)``, whose
objects are distributed as ``R(x) / Z`` for every backward policy, or one that a frozen prior takes part in
(:mod:`gflownet_crystal.gflownet.prior`). Those that compare parts of trajectories:
:mod:`gflownet_crystal.gflownet.flow_objectives`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.evaluated import Evaluated


class Objective(ABC):
    """A loss of a batch of trajectories.

    Attributes:
        takes_prior: a target with a prior in it makes sense.
        needs_prior: a target without one does not.
        needs_flows: the loss sees flows through states, so that the model needs a flow network.
        needs_data: the loss is about objects of a data set.
        takes_conditions: the loss makes sense for a model with conditions.
        on_policy: all trajectories must be the policy's own, drawn as it is.
        fits_backward: the loss has no gradient for a learned backward policy, which is fitted to the policy's own
            trajectories by maximum likelihood instead.
        forward_looking: flows of the network are added to the rewards of unfinished objects.
    """

    takes_prior: ClassVar[bool] = False
    needs_prior: ClassVar[bool] = False
    needs_flows: ClassVar[bool] = False
    needs_data: ClassVar[bool] = False
    takes_conditions: ClassVar[bool] = True
    on_policy: ClassVar[bool] = False
    fits_backward: ClassVar[bool] = False
    forward_looking: bool = False

    @abstractmethod
    def __call__(self, batch: Evaluated) -> Tensor:
        """() loss of n trajectories."""


class TrajectoryBalance(Objective):
    """``(log Z + log P_F - log R - log P_B)^2`` (Malkin et al. 2022, equation 14), averaged over the batch.

    Args:
        huber: residuals beyond it count linearly, or None for the plain square; a few wild rows of an early batch
            then do not drown the rest.
    """

    def __init__(self, huber: float | None = None) -> None:
        self.huber = checked_huber(huber)

    def __call__(self, batch: Evaluated) -> Tensor:
        return squared(batch.log_z + batch.log_pf - batch.log_target, self.huber).mean()


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
        self.huber = checked_huber(huber)

    def __call__(self, batch: Evaluated) -> Tensor:
        estimate = batch.log_target - batch.log_pf
        if batch.log_z.dim():
            # each row has a log Z of its own; the batch says how far all of them are off
            centre = (batch.log_z + (estimate - batch.log_z).mean()).detach()
            return (
                squared(centre - estimate, self.huber).mean()
                + (batch.log_z - estimate.detach()).square().mean()
            )
        centre = estimate.mean().detach()
        return squared(centre - estimate, self.huber).mean() + (batch.log_z - centre).square()


class MaximumLikelihood(Objective):
    """Mean of ``-log P_F`` over trajectories sampled backward from objects of a data set.

    With ``log P_B`` it is a bound on the objects' ``-log p(x)``, see
    :func:`gflownet_crystal.gflownet.likelihood.negative_elbo`; objects become distributed as those of the data set,
    whatever the reward. ``log Z`` follows the mean of ``log R + log P_B - log P_F`` over the policy's own trajectories,
    a bound from below on the logarithm of the partition function.
    """

    needs_data = True
    takes_conditions = False
    fits_backward = True

    def __call__(self, batch: Evaluated) -> Tensor:
        of_policy = (batch.log_target - batch.log_pf)[: batch.n_policy].mean().detach()
        loss = -batch.log_pf[len(batch.log_pf) - batch.n_data :].mean()
        return loss + (batch.log_z - of_policy).square()


def checked_huber(huber: float | None) -> float | None:
    """The limit of quadratic residuals as a number.

    Raises:
        ConfigError: it is not positive and finite.
    """
    # from infinity on, the linear part would be infinity minus infinity
    if huber is not None and not 0.0 < huber < math.inf:
        raise ConfigError(f"huber must be positive and finite, or null, not {huber}")
    # a whole number of more than 64 bits is no number to torch
    return None if huber is None else float(huber)


def squared(residual: Tensor, huber: float | None) -> Tensor:
    """Squares of residuals; beyond ``huber`` they go on linearly, where it is not None."""
    if huber is None:
        return residual.square()
    size = residual.abs()
    return torch.where(size < huber, residual.square(), huber * (2.0 * size - huber))
