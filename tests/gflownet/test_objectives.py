"""Objectives: zero exactly at balance, and with the gradient that the papers state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.evaluated import Evaluated
from gflownet_crystal.gflownet.objectives import (
    LogVariance,
    MaximumLikelihood,
    RelativeTrajectoryBalance,
    TrajectoryBalance,
)

F64 = torch.float64

LOG_PF = torch.tensor([-3.0, -1.0, -2.5], dtype=F64)
LOG_PB = torch.tensor([-0.5, -1.5, 0.0], dtype=F64)
LOG_REWARD = torch.tensor([1.0, 2.0, -1.0], dtype=F64)
LOG_TARGET = LOG_REWARD + LOG_PB


def batch(log_z: Tensor, log_pf: Tensor, log_target: Tensor) -> Evaluated:
    return Evaluated(log_z, log_pf, log_target, len(log_pf))


def test_all_vanish_at_balance() -> None:
    log_z = torch.tensor(1.7, dtype=F64)
    for objective in (
        TrajectoryBalance(),
        TrajectoryBalance(huber=0.5),
        RelativeTrajectoryBalance(),
        LogVariance(),
    ):
        assert float(objective(batch(log_z, LOG_PF, LOG_PF + log_z))) == pytest.approx(0.0, abs=1e-12)


def test_trajectory_balance_is_the_mean_square_residual() -> None:
    loss = TrajectoryBalance()(batch(torch.tensor(0.0, dtype=F64), LOG_PF, LOG_TARGET))
    assert float(loss) == pytest.approx((3.5**2 + 1.5**2 + 1.5**2) / 3)


def test_huber_is_linear_and_continuous_beyond_its_limit() -> None:
    zero = torch.zeros(1, dtype=F64)
    at = [
        float(TrajectoryBalance(huber=2.0)(batch(zero[0], torch.tensor([x], dtype=F64), zero)))
        for x in (2.0, 3.0, 5.0)
    ]
    assert at[0] == 4.0
    assert at[2] - at[1] == pytest.approx(2 * 2.0 * 2.0)


def test_log_variance_has_the_policy_gradient_of_trajectory_balance_at_the_batch_log_z() -> None:
    log_pf = LOG_PF.clone().requires_grad_()
    centre = (LOG_TARGET - LOG_PF).mean()
    ours = torch.autograd.grad(LogVariance()(batch(centre, log_pf, LOG_TARGET)), log_pf)[0]
    theirs = torch.autograd.grad(TrajectoryBalance()(batch(centre, log_pf, LOG_TARGET)), log_pf)[0]
    assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("huber", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("objective", [TrajectoryBalance, RelativeTrajectoryBalance, LogVariance])
def test_huber_must_be_positive_and_finite(objective: type, huber: float) -> None:
    with pytest.raises(ConfigError, match="huber"):
        objective(huber=huber)


def test_maximum_likelihood_sees_the_data_and_log_z_the_policy() -> None:
    log_pf = LOG_PF.clone().requires_grad_()
    loss = MaximumLikelihood()(
        Evaluated(torch.tensor(0.5, dtype=F64), log_pf, LOG_TARGET, n_policy=1, n_data=2)
    )
    # the policy's own trajectory has a log-ratio of 0.5 + 3
    assert float(loss.detach()) == pytest.approx((1.0 + 2.5) / 2 + 3.0**2)
    loss.backward()
    assert log_pf.grad is not None and log_pf.grad.tolist() == [0.0, -0.5, -0.5]
