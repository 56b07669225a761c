"""The contract of a policy: features of a state in, parameters of the action distribution out, stage by stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Actions, DiscreteActions, Env
from gflownet_crystal.policies.distributions import CategoricalHead, Head, JumpHead


@dataclass(frozen=True)
class StageShape:
    """Sizes a policy needs for one stage.

    Attributes:
        name: of the stage.
        n_features: columns of the input.
        n_parameters: columns of the output.
        initial_bias: (n_parameters,) bias at which the output should start.
    """

    name: str
    n_features: int
    n_parameters: int
    initial_bias: Tensor


class Policy(nn.Module, ABC):
    """Base of policies; subclasses take ``shapes`` first and their own settings after it.

    Args:
        shapes: one a stage, in the environment's order.
    """

    def __init__(self, shapes: Sequence[StageShape]) -> None:
        super().__init__()
        self.shapes = tuple(shapes)

    @abstractmethod
    def forward(self, stage: int, features: Tensor) -> Tensor:
        """(n, n_features) float32 features of stage ``stage`` to (n, n_parameters) float32 parameters."""


@dataclass(frozen=True)
class MixtureSettings:
    """Settings of the Beta mixtures of continuous stages; see :class:`JumpHead`."""

    n_components: int = 5
    concentration_low: float = 0.1
    concentration_high: float = 1e4
    joint: bool = True
    initial_stop: float = 0.5
    initial_back_to_source: float = 0.5

    def __post_init__(self) -> None:
        fit_fields(self, "policy.mixture")
        for name in ("initial_stop", "initial_back_to_source"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is a probability in (0, 1), not {getattr(self, name)}")


def build_heads(env: Env, mixture: MixtureSettings, backward: bool) -> list[Head]:
    """The head of each stage in one direction."""
    flag = mixture.initial_back_to_source if backward else mixture.initial_stop
    spaces = [stage.backward_actions if backward else stage.forward_actions for stage in env.stages]
    return [_head(space, mixture, flag) for space in spaces]


def _head(space: Actions, mixture: MixtureSettings, flag: float) -> Head:
    if isinstance(space, DiscreteActions):
        return CategoricalHead(space.n)
    limits = (mixture.concentration_low, mixture.concentration_high)
    return JumpHead(space.dimensions, mixture.n_components, limits, mixture.joint, flag)


def stage_shapes(env: Env, heads: Sequence[Head]) -> list[StageShape]:
    """What a policy with these heads must read and write at each stage of ``env``."""
    return [
        StageShape(stage.name, size, head.n_parameters, head.initial_bias())
        for stage, size, head in zip(env.stages, env.feature_sizes(), heads, strict=True)
    ]
