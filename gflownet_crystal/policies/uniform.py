"""The uniform policy: every allowed action alike; without parameters to learn."""

from __future__ import annotations

from torch import Tensor

from gflownet_crystal.policies.base import Policy


class UniformPolicy(Policy):
    """Equal probabilities for allowed actions; in continuous stages, fair flags and uniform jumps."""

    def forward(self, stage: int, features: Tensor) -> Tensor:
        return features.new_zeros(len(features), self.shapes[stage].n_parameters)
