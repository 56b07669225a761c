"""A frozen sampler that says which objects are plausible, and the target density that it takes part in.

The trained sampler's objects are to be distributed as ``prior(x)^w R(x) / Z``, all densities with respect to the
environment's reference measure. How the target density of a trajectory follows depends on the weight w:

* w = 1: ``P_prior(tau) R(x)``, the prior's own forward trajectory (relative trajectory balance, Venkatraman et al.
  2024). It is exact whatever the backward policies are, and on any trajectory. The trained backward policy has no part
  in it; where it is learned, it is fitted to the forward policy's trajectories by maximum likelihood (Gritsaev et al.
  2025).
* other w: ``prior(x)^w R(x) P_B(tau | x)`` with the trained backward policy. ``log prior(x)`` is estimated from K
  trajectories of the prior's own backward policy, afresh each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.evaluated import Target
from gflownet_crystal.gflownet.likelihood import log_mean_exp, log_ratios
from gflownet_crystal.gflownet.log_probs import evaluate_transitions, sum_by_row
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.gflownet.rollout import Trajectories


@dataclass(frozen=True)
class PriorTerms:
    """Log-probabilities of n trajectories and their objects under the prior.

    Attributes:
        log_pf: (n,) float64 forward log-probability of each trajectory.
        log_prior: (n,) float64 estimate of each object's log-density, with respect to the reference measure.
        transitions: the terms of ``log_pf``, (t,) float64 for each stage.
    """

    log_pf: Tensor
    log_prior: Tensor
    transitions: tuple[Tensor, ...]


class Prior:
    """A sampler whose weights stay as they are.

    Args:
        model: environment and policies of the prior; put in evaluation mode, its parameters no longer take gradients.
        weight: w, the power of the prior in the target; 0 leaves it out.
        n_samples: K, backward trajectories an object behind ``log prior(x)`` where the weight is neither 0 nor 1.
        batch_size: backward trajectories evaluated at once.

    Raises:
        ConfigError: the weight is negative or not finite, or a number is too small.
    """

    def __init__(
        self, model: GFlowNet, weight: float = 1.0, n_samples: int = 16, batch_size: int = 4096
    ) -> None:
        if not 0.0 <= weight < math.inf:
            raise ConfigError(f"prior.weight must be finite and at least 0, not {weight}")
        if n_samples < 2:
            raise ConfigError(f"prior.n_samples must be at least 2, not {n_samples}")
        if batch_size < 1:
            raise ConfigError(f"the prior's batch_size must be at least 1, not {batch_size}")
        self.model = model.eval().requires_grad_(False)
        self.weight, self.n_samples, self.batch_size = float(weight), n_samples, batch_size

    @property
    def by_trajectory(self) -> bool:
        """Whether the target is the prior's own trajectory, so that no backward policy enters it."""
        return self.weight == 1.0

    @torch.no_grad()
    def terms(self, trajectories: Trajectories, generator: torch.Generator) -> PriorTerms:
        """Log-probabilities under the prior, without gradients.

        Args:
            trajectories: n of them, of the prior's environment, drawn in any way.
            generator: source of randomness of the K backward trajectories, on the model's device; not used where
                the weight is 0 or 1.
        """
        found = evaluate_transitions(self.model, trajectories)
        log_pf, log_pb = (sum_by_row(trajectories, terms) for terms in (found.forward, found.backward))
        if self.weight in (0.0, 1.0):
            log_prior = log_pf - log_pb
        else:
            ratios = log_ratios(self.model, trajectories.terminal, self.n_samples, generator, self.batch_size)
            log_prior = log_mean(ratios)
        log_prior = log_prior - self.model.env.log_reference(trajectories.terminal)
        return PriorTerms(log_pf, log_prior, found.forward)

    def target(
        self,
        terms: PriorTerms,
        log_pb: Tensor,
        log_reward: Tensor,
        log_reference: Tensor,
        transitions: tuple[Tensor, ...] = (),
    ) -> Target:
        """The target density of n trajectories, with the gradients of ``log_pb``.

        Args:
            terms: terms of the trajectories.
            log_pb: (n,) backward log-probability under the trained policy.
            log_reward: (n,) of the objects.
            log_reference: (n,) log-density of the reference measure in the coordinates of the stages.
            transitions: the terms of ``log_pb``, stage by stage; for objectives that see them.
        """
        if self.by_trajectory:
            return Target(log_reward, terms.log_pf, terms.transitions)
        return Target(log_reward + self.weight * terms.log_prior + log_reference, log_pb, transitions)


def check_prior(model: GFlowNet, objective: Objective, prior: Prior | None) -> None:
    """See that an objective goes with a prior, or with none, and put the prior in the model's environment.

    Raises:
        ConfigError: it does not, or the prior is of another layout or the model itself.
    """
    name = type(objective).__name__
    if prior is None:
        if objective.needs_prior:
            raise ConfigError(
                f"objective {name} needs a prior; give prior=default or a file or run of one, or choose "
                "objective=trajectory_balance"
            )
        return
    if not objective.takes_prior:
        raise ConfigError(
            f"objective {name} knows no prior; choose objective=relative_trajectory_balance, or set prior=null"
        )
    if prior.model is model:
        raise ConfigError("the prior is the model to train; give the prior a model of its own")
    prior.model.set_env(model.env)


def log_mean(log_values: Tensor) -> Tensor:
    """Logarithm of the mean of K positive draws, corrected for the bias of the logarithm, (n,).

    The logarithm of a mean of K draws lies too low by their squared coefficient of variation over 2 K, to first order
    (the delta method); that is added, from the draws' own variance.

    Args:
        log_values: (n, K) logarithms, K at least 2.
    """
    n_draws = log_values.shape[1]
    shares = torch.softmax(log_values, dim=1)
    # squared coefficient of variation over K, unbiased variance; 0 for equal draws and at most 1
    spread = (n_draws * shares.square().sum(dim=1) - 1.0) / (n_draws - 1)
    return log_mean_exp(log_values) + 0.5 * spread
