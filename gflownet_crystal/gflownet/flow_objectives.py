"""Training objectives that see each transition, and the flow ``F(s)`` through each state from a network.

In balance ``F(s) P_F(s' | s) = F(s') P_B(s | s')`` for each transition, with ``F = Z`` in the source and
``F(x) = R(x)`` in the objects. With a prior of weight 1, its own forward transitions take the place of ``P_B``, and
``F(s)`` is the prior's mean reward from s on: the path consistency of entropy-regularised control (Nachum et al. 2017).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.evaluated import Evaluated, Steps
from gflownet_crystal.gflownet.objectives import Objective, checked_huber, squared


class FlowObjective(Objective):
    """Base of objectives with flows through states."""

    takes_prior = True
    needs_flows = True

    def __call__(self, batch: Evaluated) -> Tensor:
        if batch.steps is None:
            raise ConfigError(f"objective {type(self).__name__} needs the trajectories state by state")
        return self.of_steps(batch.steps)

    @abstractmethod
    def of_steps(self, steps: Steps) -> Tensor:
        """() loss of n trajectories."""


class DetailedBalance(FlowObjective):
    """Square of ``log F(s) P_F(s' | s) - log F(s') P_B(s | s')``, averaged over transitions.

    (Bengio et al. 2023, "GFlowNet foundations", definition 15.)

    Args:
        huber: residuals beyond it count linearly, or None for the plain square.
        forward_looking: the network says how far ``log F(s)`` is from the log-reward of the unfinished object plus
            ``log Z`` (Pan et al. 2023, "Better training of GFlowNets with local credit and incomplete trajectories").
    """

    def __init__(self, huber: float | None = None, forward_looking: bool = False) -> None:
        self.huber, self.forward_looking = checked_huber(huber), forward_looking

    def of_steps(self, steps: Steps) -> Tensor:
        # past the end of a trajectory nothing changes, so that its residuals vanish there
        return squared(steps.potential().diff(dim=1), self.huber).sum() / steps.length.sum()


class SubTrajectoryBalance(FlowObjective):
    """Squares of the residuals of all parts of a trajectory, weighted by ``lambda ** length``.

    The weights of a trajectory sum to 1 (Madan et al. 2023, "Learning GFlowNets from partial episodes for improved
    convergence and stability", equation 11). Near 0 the shortest parts count, as in detailed balance; from 1 on, long
    ones count more and more.

    Args:
        subtb_lambda: factor on the weight of a part for each further transition, positive.
        huber: residuals beyond it count linearly, or None for the plain square.
        forward_looking: the network says how far ``log F(s)`` is from the log-reward of the unfinished object plus
            ``log Z``.
    """

    def __init__(
        self, subtb_lambda: float = 0.9, huber: float | None = None, forward_looking: bool = False
    ) -> None:
        # powers of larger ones leave the numbers for long trajectories
        if not 0.0 < subtb_lambda <= 10.0:
            raise ConfigError(f"subtb_lambda must be above 0 and at most 10, not {subtb_lambda}")
        self.subtb_lambda = float(subtb_lambda)
        self.huber, self.forward_looking = checked_huber(huber), forward_looking

    def of_steps(self, steps: Steps) -> Tensor:
        potential, is_state = steps.potential(), steps.is_state
        places = torch.arange(potential.shape[1], device=potential.device)
        lengths = places[None, :] - places[:, None]
        power = self.subtb_lambda ** lengths.clamp(min=1).double()
        # (n, T + 1, T + 1) weights of the parts from each state to each later one
        weight = power * (lengths > 0) * is_state[:, None, :]
        residual = potential[:, :, None] - potential[:, None, :]
        total = (weight * squared(residual, self.huber)).sum(dim=(1, 2))
        return (total / weight.sum(dim=(1, 2))).mean()


class PolicyGradient(FlowObjective):
    """Gradient of the divergence of the policy's trajectories from the target, with the flows as a baseline.

    Minimises ``KL(P_F(tau) || R(x) P_B(tau | x) / Z)``, which is policy gradient with the entropy-regularised return
    ``log R + log P_B - log P_F``; on the policy's own trajectories its gradient is half that of trajectory balance
    (Malkin et al. 2023, "GFlowNets and variational inference", proposition 1; Niu et al. 2024, "GFlowNet training by
    policy gradients"). The return from a state on is compared with ``log F(s)``, which learns from it.

    Args:
        gae_lambda: lambda of generalised advantage estimation: 1 for whole returns, whose gradient is unbiased; less
            trusts the flows of later states.
        huber: residuals of the flows beyond it count linearly, or None for the plain square.
    """

    on_policy = True
    fits_backward = True

    def __init__(self, gae_lambda: float = 1.0, huber: float | None = None) -> None:
        if not 0.0 <= gae_lambda <= 1.0:
            raise ConfigError(f"gae_lambda must be in [0, 1], not {gae_lambda}")
        self.gae_lambda, self.huber = float(gae_lambda), checked_huber(huber)

    def of_steps(self, steps: Steps) -> Tensor:
        places = torch.arange(steps.log_pf.shape[1], device=steps.length.device)
        ahead = places[:, None] - places[None, :]
        power = self.gae_lambda ** ahead.clamp(min=0).double() * (ahead >= 0)
        with torch.no_grad():
            advantage = -steps.potential().diff(dim=1) @ power
            # the flow that would make the advantage vanish
            aim = steps.log_flow[:, :-1] - advantage
        is_transition = steps.is_state[:, 1:]
        fit = squared((steps.log_flow[:, :-1] - aim) * is_transition, self.huber).sum() / steps.length.sum()
        return (advantage * steps.log_pf).sum(dim=1).mean() + fit
