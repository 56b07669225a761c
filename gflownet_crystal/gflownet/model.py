"""A GFlowNet: an environment, its two policies, and the learned log-partition function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, Env, State
from gflownet_crystal.policies.base import MixtureSettings, Policy, StageShape, build_heads, stage_shapes

PolicyFactory = Callable[[Sequence[StageShape]], Policy]


class GFlowNet(nn.Module):
    """Everything that is learned, and the environment it is learned in.

    Args:
        env: the space.
        forward_policy: makes the forward policy from the stages' shapes.
        backward_policy: makes the backward policy.
        mixture: settings of Beta mixtures in continuous stages.
        n_log_z: ``log Z`` is the sum of so many weights, which speeds its Adam steps (Crystal-GFN, appendix C: 16).
    """

    def __init__(
        self,
        env: Env,
        forward_policy: PolicyFactory,
        backward_policy: PolicyFactory,
        mixture: MixtureSettings | None = None,
        n_log_z: int = 16,
    ) -> None:
        super().__init__()
        mixture = mixture or MixtureSettings()
        self.env = env
        self.forward_heads = build_heads(env, mixture, backward=False)
        self.backward_heads = build_heads(env, mixture, backward=True)
        self.forward_policy = forward_policy(stage_shapes(env, self.forward_heads))
        self.backward_policy = backward_policy(stage_shapes(env, self.backward_heads))
        self.log_z_weights = nn.Parameter(torch.zeros(n_log_z))

    @property
    def log_z(self) -> Tensor:
        """() float64 logarithm of the partition function."""
        return self.log_z_weights.double().sum()

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.log_z_weights.device

    def forward_parameters(self, stage: int, state: State, context: Context) -> Tensor:
        """(n, n_parameters) of the forward action distribution."""
        parameters: Tensor = self.forward_policy(stage, self.env.features(stage, state, context))
        return parameters

    def backward_parameters(self, stage: int, state: State, context: Context) -> Tensor:
        """(n, n_parameters) of the backward action distribution."""
        parameters: Tensor = self.backward_policy(stage, self.env.features(stage, state, context))
        return parameters

    def set_env(self, env: Env) -> None:
        """Sample in another environment of the same layout, such as a restriction of this one.

        Raises:
            ConfigError: the stages differ in their features or actions.
        """
        same_actions = [
            (mine.forward_actions, mine.backward_actions) == (theirs.forward_actions, theirs.backward_actions)
            for mine, theirs in zip(self.env.stages, env.stages, strict=True)
        ]
        if self.env.feature_sizes() != env.feature_sizes() or not all(same_actions):
            raise ConfigError(
                "the environment has other features or actions than the one the policies were made for"
            )
        self.env = env
