"""A GFlowNet: an environment, its two policies, the learned log-partition function, and flows through states."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.devices import runs_ahead
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, DiscreteActions, Env, State
from gflownet_crystal.gflownet.conditions import Conditions, LogPartition
from gflownet_crystal.gflownet.fingerprints import distinct_rows
from gflownet_crystal.policies.base import (
    Columns,
    MixtureSettings,
    Policy,
    StageShape,
    build_heads,
    flow_shapes,
    stage_columns,
    stage_shapes,
)

PolicyFactory = Callable[[Sequence[StageShape]], Policy]

_FEWEST = 32
"""Fewest states among which those that repeat are looked for."""


class GFlowNet(nn.Module):
    """Everything that is learned, and the environment it is learned in.

    Args:
        env: the space.
        forward_policy: makes the forward policy from the stages' shapes.
        backward_policy: makes the backward policy.
        mixture: settings of Beta mixtures in continuous stages.
        n_log_z: number of weights whose sum is ``log Z``, which speeds its Adam steps (Crystal-GFN, appendix C: 16).
        flow: makes the network of ``log F(s)`` for objectives that need flows, from shapes with one parameter; None for
            none.
        conditions: conditions that networks and log Z see; None for one distribution.
    """

    def __init__(
        self,
        env: Env,
        forward_policy: PolicyFactory,
        backward_policy: PolicyFactory,
        mixture: MixtureSettings | None = None,
        n_log_z: int = 16,
        flow: PolicyFactory | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        super().__init__()
        self.mixture, self.conditions = mixture or MixtureSettings(), conditions
        n = 0 if conditions is None else len(conditions)
        self._use(env)
        self.forward_policy = forward_policy(stage_shapes(env, self.forward_heads, n_conditions=n))
        self.backward_policy = backward_policy(
            stage_shapes(env, self.backward_heads, backward=True, n_conditions=n)
        )
        self.flow = None if flow is None else flow(flow_shapes(env, n))
        self.log_z_weights = nn.Parameter(torch.zeros(n_log_z))
        self.log_z_network = LogPartition(n, n_log_z) if n else None
        # dropout is for maximum likelihood alone: a sampler's densities are those it draws with
        self.eval()

    def _use(self, env: Env) -> None:
        self.env = env
        self.forward_heads = build_heads(env, self.mixture, backward=False)
        self.backward_heads = build_heads(env, self.mixture, backward=True)
        n = 0 if self.conditions is None else len(self.conditions)
        self._forward_columns = stage_columns(env, self.forward_heads, backward=False, n_conditions=n)
        self._backward_columns = stage_columns(env, self.backward_heads, backward=True, n_conditions=n)
        self._flow_columns = [Columns(columns.inputs) for columns in self._forward_columns]

    @property
    def log_z(self) -> Tensor:
        """() float64 logarithm of the partition function.

        Raises:
            ConfigError: log Z depends on a condition without a fixed value.
        """
        return self.log_z_of(self.env.empty_context(1, self.device)).reshape(())

    def log_z_of(self, context: Context) -> Tensor:
        """Float64 logarithm of the partition function: (), or (n,) under the conditions of each row."""
        mean = self.log_z_weights.double().sum()
        if self.log_z_network is None:
            return mean
        change: Tensor = self.log_z_network(self._condition(context))
        return mean + change

    def start(self, n: int, generator: torch.Generator) -> Context:
        """Where ``n`` trajectories start, with conditions of their own where there are any."""
        context = self.env.empty_context(n, self.device)
        if self.conditions is None:
            return context
        return replace(context, condition=self.conditions.draw(n, generator))

    def at(self, given: Mapping[str, float]) -> Self:
        """A model of the same weights, shared with this one, whose conditions are held at values.

        Args:
            given: values by the name of the condition.

        Raises:
            ConfigError: the model has no such condition, or was trained for another range.
        """
        if self.conditions is None:
            if given:
                raise ConfigError(
                    f"condition.{next(iter(given))} has no effect: this sampler was trained without conditions; train "
                    "one with train_gfn condition.beta=[4,32]"
                )
            return self
        other = copy.copy(self)
        other.conditions = self.conditions.at(given)
        return other

    def _condition(self, context: Context) -> Tensor:
        """(n, c) float64 conditions of the rows of a context; those that are held where it has none."""
        if context.condition is not None:
            return context.condition
        if self.conditions is None:
            raise ConfigError("the model has no conditions")
        return self.conditions.fixed(context.n, context.device)

    def _features(self, stage: int, state: State, context: Context) -> Tensor:
        """(n, f) input of the networks: features of the states, then the conditions."""
        features = self.env.features(stage, state, context)
        if self.conditions is None:
            return features
        return torch.cat([features, self._condition(context).to(features.dtype)], dim=1)

    def _outputs(
        self, network: Policy, columns: list[Columns], stage: int, state: State, context: Context
    ) -> Tensor:
        """(n, o) outputs of a network for n states; those that repeat pass it once."""
        if network.is_constant:
            return network.some(stage, torch.empty(len(state), 0, device=self.device), columns[stage])
        if not self._may_repeat(stage, state):
            return network.some(stage, self._features(stage, state, context), columns[stage])
        rows, place = distinct_rows((state, *context.states))
        features = self._features(stage, state[rows], context[rows])
        return network.some(stage, features, columns[stage]).index_select(0, place)

    def _may_repeat(self, stage: int, state: State) -> bool:
        """Whether it saves time to look for states that repeat: not on GPUs, nor among states with real numbers.

        Equal states may have different conditions, and in training mode different dropout.
        """
        is_discrete = isinstance(self.env.stages[stage].forward_actions, DiscreteActions)
        one_output = self.conditions is None and not self.training
        return is_discrete and one_output and not runs_ahead(self.device) and len(state) >= _FEWEST

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move parameters and the places of columns; see :meth:`torch.nn.Module.to`."""
        moved = super().to(*args, **kwargs)
        for columns in (moved._forward_columns, moved._backward_columns, moved._flow_columns):
            columns[:] = [one.to(moved.device) for one in columns]
        return moved

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.log_z_weights.device

    def forward_parameters(self, stage: int, state: State, context: Context) -> Tensor:
        """(n, n_parameters) of the forward action distribution."""
        return self._outputs(self.forward_policy, self._forward_columns, stage, state, context)

    def backward_parameters(self, stage: int, state: State, context: Context) -> Tensor:
        """(n, n_parameters) of the backward action distribution."""
        return self._outputs(self.backward_policy, self._backward_columns, stage, state, context)

    def log_flow(self, stage: int, state: State, context: Context) -> Tensor:
        """(n,) float64 logarithm of the flow through states; the network says how far it is from ``log Z``.

        Raises:
            ConfigError: the model has no flow network.
        """
        if self.flow is None:
            raise ConfigError(
                "the model has no flow network; make it with flow=, such as the forward policy's factory"
            )
        change = self._outputs(self.flow, self._flow_columns, stage, state, context)
        return self.log_z_of(context) + change.squeeze(1).double()

    def policy_weights(self) -> dict[str, Tensor]:
        """Weights of the two policies by their names in ``state_dict``, without log Z and flows."""
        return {name: value for name, value in self.state_dict().items() if is_of_policy(name)}

    def set_env(self, env: Env) -> None:
        """Sample in another environment of the same layout, such as a restriction of this one.

        Raises:
            ConfigError: the stages differ in their layouts.
        """
        if _layout(self.env) != _layout(env):
            raise ConfigError(
                "the environment has other features or actions than the one the policies were made for"
            )
        self._use(env)
        self.to(self.device)

    def in_env(self, env: Env) -> Self:
        """A model of the same weights, shared with this one, in another environment of the same layout.

        Raises:
            ConfigError: the stages differ in their layouts.
        """
        other = copy.copy(self)
        other.set_env(env)
        return other


def is_of_policy(name: str) -> bool:
    """Whether a tensor of that name in the model's ``state_dict`` belongs to one of the two policies."""
    return name.startswith(("forward_policy.", "backward_policy."))


def _layout(env: Env) -> list[object]:
    """Sizes of the features and actions of the layout, stage by stage."""
    actions = [
        (stage.forward_actions, stage.backward_actions) if stage.layout is None else stage.layout.sizes
        for stage in env.stages
    ]
    return [*env.layout_sizes(), *actions]
