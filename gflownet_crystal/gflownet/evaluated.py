"""Log-probabilities of a batch of trajectories, as an objective sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Target:
    """Unnormalised target density of n trajectories, with respect to the stages' coordinates.

    Attributes:
        log_end: (n,) float64, the part of the objects, whatever the way to them.
        log_path: (n,) float64, the part of the way to them.
        transitions: the terms of ``log_path``, (t,) float64 for each stage.
    """

    log_end: Tensor
    log_path: Tensor
    transitions: tuple[Tensor, ...]

    @property
    def log_density(self) -> Tensor:
        """(n,) float64 logarithm of the density."""
        return self.log_end + self.log_path


@dataclass(frozen=True)
class Steps:
    """Terms of n trajectories state by state, in the order of time; T is the length of the longest.

    The target of a trajectory of L transitions is ``log_flow[L]`` plus the sum of ``log_backward``, and past its end
    nothing changes.

    Attributes:
        log_pf: (n, T) float64 forward log-probability of each transition; 0 past the end.
        log_backward: (n, T) float64 log-density of each transition in the target: ``log P_B`` without a prior, the
            prior's own ``log P_F`` where its weight is 1; 0 past the end.
        log_flow: (n, T + 1) float64 logarithm of the flow through each state: ``log Z`` first, then those of the flow
            network; from the end on, the object's log-density in the target.
        length: (n,) int64 transitions of each trajectory, at least 1.
    """

    log_pf: Tensor
    log_backward: Tensor
    log_flow: Tensor
    length: Tensor

    def potential(self) -> Tensor:
        """(n, T + 1) ``u``, constant along a trajectory in balance.

        ``u_i - u_j`` is the residual of the part of the trajectory from state i to state j: of its detailed balance
        for j = i + 1, of trajectory balance from the first state to the last.
        """
        sums = (self.log_pf - self.log_backward).cumsum(dim=1)
        return torch.cat([self.log_flow[:, :1], self.log_flow[:, 1:] - sums], dim=1)

    @property
    def is_state(self) -> Tensor:
        """(n, T + 1) bool: the trajectory has that many states."""
        places = torch.arange(self.log_flow.shape[1], device=self.length.device)
        return places <= self.length[:, None]


@dataclass(frozen=True)
class Evaluated:
    """Log-probabilities of n trajectories, with gradients.

    Attributes:
        log_z: () float64 logarithm of the partition function; (n,) where each trajectory has conditions.
        log_pf: (n,) float64 forward log-probability of each trajectory.
        log_target: (n,) float64 logarithm of its unnormalised target density, with respect to the stages'
            coordinates: ``log R + log P_B`` without a prior.
        n_policy: trajectories that the policy sampled: the first ones.
        n_data: trajectories sampled backward from a data set: the last ones.
        steps: the same state by state, for objectives that need flows; else None.
    """

    log_z: Tensor
    log_pf: Tensor
    log_target: Tensor
    n_policy: int
    n_data: int = 0
    steps: Steps | None = None
