"""Probability with which a sampler makes a given object, by importance sampling over trajectories.

``p(x) = E[P_F(tau) / P_B(tau | x)]`` over backward trajectories ``tau ~ P_B(. | x)``. The estimate is a log-mean-exp
of K such ratios; its error is the bootstrap's. The mean of one log-ratio is the bound that maximum likelihood raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import Trajectories, draw_backward


@dataclass(frozen=True)
class LogLikelihood:
    """Estimates for n objects.

    Attributes:
        log_prob: (n,) float64, with respect to the environment's reference measure.
        std_error: (n,) float64 bootstrap standard error of ``log_prob``.
    """

    log_prob: Tensor
    std_error: Tensor


@torch.no_grad()
def log_prob(
    model: GFlowNet,
    terminal: Context,
    n_trajectories: int,
    generator: torch.Generator,
    n_bootstrap: int = 200,
    batch_size: int = 4096,
) -> LogLikelihood:
    """Estimate ``log p(x)`` of objects under the forward policy.

    Args:
        model: environment and policies.
        terminal: finished states of all stages, n rows.
        n_trajectories: K, backward trajectories an object.
        generator: source of randomness, on the model's device.
        n_bootstrap: resamples of the K ratios behind the standard error.
        batch_size: trajectories evaluated at once.

    Raises:
        ConfigError: K below 2, for which there is no error estimate.
    """
    if n_trajectories < 2:
        raise ConfigError(f"n_trajectories must be at least 2 for an error estimate, not {n_trajectories}")
    log_ratio = log_ratios(model, terminal, n_trajectories, generator, batch_size)
    estimate = log_mean_exp(log_ratio)
    draws = torch.randint(
        n_trajectories, (n_bootstrap, n_trajectories), generator=generator, device=terminal.device
    )
    # one resample of places serves all objects: each object's error is still its own
    resampled = torch.stack([log_mean_exp(log_ratio[:, places]) for places in draws])
    return LogLikelihood(estimate - model.env.log_reference(terminal), resampled.std(dim=0))


@torch.no_grad()
def log_ratios(
    model: GFlowNet,
    terminal: Context,
    n_trajectories: int,
    generator: torch.Generator,
    batch_size: int = 4096,
) -> Tensor:
    """``log P_F(tau) - log P_B(tau | x)`` of backward trajectories to objects.

    Args:
        model: environment and policies.
        terminal: finished states of all stages, n rows.
        n_trajectories: K, backward trajectories an object.
        generator: source of randomness, on the model's device.
        batch_size: trajectories evaluated at once.

    Returns:
        (n, K) float64, with respect to the stages' coordinates.
    """

    def both(repeated: Context) -> tuple[Tensor, Tensor]:
        trajectories, log_pb = draw_backward(model, repeated, generator)
        return evaluate(model, trajectories, backward=log_pb)

    return ratios_in_chunks(both, terminal, n_trajectories, batch_size)


def ratios_in_chunks(
    both: Callable[[Context], tuple[Tensor, Tensor]], terminal: Context, n_trajectories: int, batch_size: int
) -> Tensor:
    """(n, K) ``log P_F - log P_B`` of K trajectories to each of n objects, some objects at a time.

    Args:
        both: draws a trajectory to each of the objects that it is given, and says its log P_F and log P_B.
        terminal: finished states, n rows.
        n_trajectories: K, at least 1.
        batch_size: trajectories at once.
    """
    parts = []
    for rows in torch.arange(terminal.n, device=terminal.device).split(max(1, batch_size // n_trajectories)):
        log_pf, log_pb = both(terminal[rows.repeat_interleave(n_trajectories)])
        parts.append((log_pf - log_pb).reshape(len(rows), n_trajectories))
    return torch.cat(parts)


def negative_elbo(model: GFlowNet, trajectories: Trajectories) -> Tensor:
    """The loss of maximum likelihood: a bound from above on each object's ``-log p(x)``, with gradients.

    Its mean over backward trajectories is ``-log p(x)`` plus the divergence of ``P_B(. | x)`` from the forward policy's
    own ways to x, which is 0 where the two agree. The gradient is that of the forward policy only: on its own
    samples, the derivative of ``log P_B`` is noise of mean zero.

    Args:
        model: environment and policies.
        trajectories: n of them, sampled backward by the model's backward policy.

    Returns:
        (n,) float64 ``log P_B - log P_F``, for densities with respect to the environment's reference measure.
    """
    log_pf, log_pb = evaluate(model, trajectories)
    return log_pb.detach() - log_pf + model.env.log_reference(trajectories.terminal)


def log_mean_exp(log_ratio: Tensor) -> Tensor:
    """(n,) logarithm of the mean over the K columns of the exponentials of (n, K) ratios."""
    return torch.logsumexp(log_ratio, dim=1) - math.log(log_ratio.shape[1])
