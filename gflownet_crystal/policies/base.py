"""The contract of a policy: features of a state in, parameters of the action distribution out, stage by stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import InnerShare
from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.envs.base import Actions, DiscreteActions, Env
from gflownet_crystal.policies.distributions import CategoricalHead, Head, JumpHead


@dataclass(frozen=True)
class StageShape:
    """Sizes a policy needs for one stage.

    Attributes:
        name: name of the stage.
        n_features: columns of the input, those of conditions last.
        n_parameters: columns of the output.
        initial_bias: (n_parameters,) bias at which the output should start.
        n_used: columns of the input that the environment fills, which set the scale of initial weights; None for all.
        describe: makes descriptors of the columns, for policies that use them: (n_features, p) of the input and
            (n_parameters, q) of the output, float32; None where nothing is known of them.
        n_conditions: columns of the input that are conditions, from 0 to 1; see
            :class:`gflownet_crystal.gflownet.conditions.Conditions`.
    """

    name: str
    n_features: int
    n_parameters: int
    initial_bias: Tensor
    n_used: int | None = None
    describe: Callable[[], tuple[Tensor, Tensor]] | None = None
    n_conditions: int = 0


@dataclass(frozen=True)
class Columns(CopiedToDevice):
    """The part of a stage's layout that an environment uses; None for all of it.

    Attributes:
        inputs: (i,) int64 columns of the features, the others are zero; their order is that of the features given.
        outputs: (o,) int64 columns of the parameters that are asked for.
    """

    inputs: Tensor | None = None
    outputs: Tensor | None = None


class Policy(nn.Module, ABC):
    """Base of policies; subclasses take ``shapes`` first and their own settings after it.

    Args:
        shapes: one a stage, in the environment's order.

    Attributes:
        is_constant: the parameters do not depend on the features, which :meth:`some` then gets without columns.
    """

    is_constant: ClassVar[bool] = False

    def __init__(self, shapes: Sequence[StageShape]) -> None:
        super().__init__()
        self.shapes = tuple(shapes)

    @abstractmethod
    def forward(self, stage: int, features: Tensor) -> Tensor:
        """Parameters (n, n_parameters) float32 from features (n, n_features) float32 of states of stage ``stage``.

        Those of a row depend on that row only: in a batch, equal states are evaluated once.
        """

    def parameters_of(self, stage: int) -> Iterable[nn.Parameter]:
        """Parameters that decide a stage; all of them, unless a subclass tells its stages apart."""
        return self.parameters()

    def reseed(self, seed: int) -> None:
        """Draw new training noise, such as dropout; policies that have some override it."""

    def some(self, stage: int, features: Tensor, columns: Columns) -> Tensor:
        """Some of the parameters from the features that are not zero.

        Subclasses that can skip the other columns override it; the result is that of :meth:`forward`.

        Args:
            stage: number of the stage.
            features: (n, i) float32 of the columns ``columns.inputs``.
            columns: columns of the layout that are used.

        Returns:
            (n, o) float32 parameters of the columns ``columns.outputs``.
        """
        if columns.inputs is not None:
            wide = features.new_zeros(len(features), self.shapes[stage].n_features)
            features = wide.index_copy(1, columns.inputs, features)
        parameters: Tensor = self(stage, features)
        return parameters if columns.outputs is None else parameters[:, columns.outputs]


@dataclass(frozen=True)
class MixtureSettings(CheckedFields):
    """Settings of the Beta mixtures of continuous stages; see :class:`JumpHead`."""

    place = "policy.mixture"

    n_components: int = 5
    concentration_low: float = 0.1
    concentration_high: float = 1e4
    joint: bool = True
    initial_stop: InnerShare = 0.5
    initial_back_to_source: InnerShare = 0.5


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


def stage_shapes(
    env: Env, heads: Sequence[Head], backward: bool = False, n_conditions: int = 0
) -> list[StageShape]:
    """Input and output shapes of a policy with these heads at each stage of ``env``, in its layout."""
    shapes = []
    sizes = zip(env.layout_sizes(), env.feature_sizes(), strict=True)
    for index, (stage, head, (size, used)) in enumerate(zip(env.stages, heads, sizes, strict=True)):
        bias = head.initial_bias()
        if stage.layout is not None and isinstance(head, CategoricalHead):
            bias = bias.new_zeros(stage.layout.n_backward if backward else stage.layout.n_forward)
        describe = partial(_descriptors, env, index, None if backward else head, len(bias), n_conditions)
        counts = size + n_conditions, len(bias), bias, used + n_conditions
        shapes.append(StageShape(stage.name, *counts, describe, n_conditions))
    return shapes


def flow_shapes(env: Env, n_conditions: int = 0) -> list[StageShape]:
    """Shapes of a network with the input of a policy and one output at each stage of ``env``, in its layout."""
    sizes = zip(env.stages, env.layout_sizes(), env.feature_sizes(), strict=True)
    shapes = []
    for index, (stage, size, used) in enumerate(sizes):
        describe = partial(_descriptors, env, index, None, 1, n_conditions)
        counts = size + n_conditions, 1, torch.zeros(1), used + n_conditions
        shapes.append(StageShape(stage.name, *counts, describe, n_conditions))
    return shapes


def _descriptors(
    env: Env, index: int, forward_head: Head | None, n_parameters: int, n_conditions: int
) -> tuple[Tensor, Tensor]:
    wide = env.stages[index].layout
    described = wide is not None and isinstance(forward_head, CategoricalHead)
    outputs = wide.describe().forward if wide is not None and described else torch.zeros(n_parameters, 0)
    own = torch.zeros(env.stages[index].n_features, 0) if wide is None else wide.describe().features
    earlier = (past.summary_descriptors() for past in env.stages[:index])
    # conditions have no descriptors
    return torch.block_diag(own, *earlier, torch.zeros(n_conditions, 0)), outputs


def stage_columns(env: Env, heads: Sequence[Head], backward: bool, n_conditions: int = 0) -> list[Columns]:
    """The columns of its layout that ``env`` uses at each stage, and those of the conditions behind it."""
    columns = []
    for index, (stage, head) in enumerate(zip(env.stages, heads, strict=True)):
        wide = stage.layout if isinstance(head, CategoricalHead) else None
        outputs = None if wide is None else wide.backward if backward else wide.forward
        places, size = env.feature_places(index), env.layout_sizes()[index]
        if places is not None and n_conditions:
            places = torch.cat([places, torch.arange(size, size + n_conditions)])
        columns.append(Columns(places, outputs))
    return columns
