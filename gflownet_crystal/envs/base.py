"""The contract of an environment: stages in sequence, each a batched, stateless rule book.

An object is built stage by stage. A stage owns a state (a frozen dataclass of tensors), says which actions a state
allows in each direction, and takes and undoes steps. Nothing here knows a policy or a reward.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Self

import torch
from torch import Tensor
from typing_extensions import TypeVar

from gflownet_crystal.common.errors import ActionError, ConfigError
from gflownet_crystal.envs.actions import (
    Action,
    Actions,
    DiscreteActions,
    Jump,
    JumpActions,
    JumpSupport,
    Support,
)
from gflownet_crystal.envs.context import Context, State, StateT
from gflownet_crystal.envs.layouts import StageLayout

__all__ = ["Action", "Actions", "Context", "DiscreteActions", "Env", "Jump", "JumpActions", "JumpSupport", "Stage",
           "State", "Support"]  # fmt: skip


ActionT = TypeVar("ActionT", bound=Action, default=Any)
SupportT = TypeVar("SupportT", bound=Support, default=Any)
ObjectsT = TypeVar("ObjectsT", default=Any)
"""Kinds that a stage or an environment is made of; a class that names none is not checked for them."""


class Stage(ABC, Generic[StateT, ActionT, SupportT]):
    """One stage of an environment. All methods are batched and pure; ``n`` is the number of rows.

    Type parameters, which a subclass may leave out: its state, its actions, and their support.

    Attributes:
        name: key of the stage in configs, checkpoints and logs.
        forward_actions: action space of :meth:`step`.
        backward_actions: action space of :meth:`step_back`; of the same kind.
        max_transitions: no trajectory spends more steps in this stage.
        n_features: columns of :meth:`features`.
        n_summary: columns of :meth:`summary`.
        layout: places of columns and numbered actions in a wider layout; None where the stage's own are all there are.
    """

    name: str
    forward_actions: Actions
    backward_actions: Actions
    max_transitions: int
    n_features: int
    n_summary: int
    layout: StageLayout | None = None

    @abstractmethod
    def source(self, context: Context) -> StateT:
        """The state in which the stage starts, for each row of the context."""

    @abstractmethod
    def finished(self, state: StateT) -> Tensor:
        """(n,) bool: the stage is over and the next one starts."""

    @abstractmethod
    def at_source(self, state: StateT) -> Tensor:
        """(n,) bool: states without an action to undo."""

    @abstractmethod
    def forward_support(self, state: StateT, context: Context) -> SupportT:
        """Actions allowed in unfinished states. Every allowed action can be completed to a terminal state."""

    @abstractmethod
    def backward_support(self, state: StateT, context: Context) -> SupportT:
        """Backward actions allowed in states that are not the source: those whose parent the source reaches."""

    @abstractmethod
    def step(self, state: StateT, action: ActionT, context: Context) -> StateT:
        """The state after each row's action."""

    @abstractmethod
    def step_back(self, state: StateT, action: ActionT, context: Context) -> StateT:
        """The parent that each row's backward action leads to."""

    @abstractmethod
    def backward_action(self, parent: StateT, child: StateT, context: Context) -> ActionT:
        """The backward action that leads from ``child`` to ``parent``."""

    @abstractmethod
    def forward_action(self, parent: StateT, child: StateT, context: Context) -> ActionT:
        """The forward action that leads from ``parent`` to ``child``."""

    def undoing(self, action: ActionT, parent: StateT, child: StateT, context: Context) -> ActionT:
        """The backward action that undoes a forward ``action`` just taken.

        Stages whose states cannot tell every two actions apart at machine precision override it.
        """
        return self.backward_action(parent, child, context)

    def redoing(self, action: ActionT, parent: StateT, child: StateT, context: Context) -> ActionT:
        """The forward action that a backward ``action`` just taken undid."""
        return self.forward_action(parent, child, context)

    def same_rules(self, other: Stage) -> bool:
        """Whether the other stage allows the same actions in each common state, so that policies act identically.

        Stages that cannot tell say no.
        """
        return self is other

    @abstractmethod
    def features(self, state: StateT) -> Tensor:
        """(n, n_features) float32 description of a state for the policy of this stage."""

    @abstractmethod
    def summary(self, state: StateT) -> Tensor:
        """(n, n_summary) float32 description of a finished state for the policies of later stages."""

    def summary_descriptors(self) -> Tensor:
        """(columns of the summary in the layout, q) float32 descriptors of the summary; q = 0 if none are known."""
        return torch.zeros(self.n_summary, 0) if self.layout is None else self.layout.describe().summary

    def random_action(self, support: Support, generator: torch.Generator) -> Action:
        """A uniformly drawn allowed action, as the untrained sampler would take it."""
        if isinstance(support, JumpSupport):
            return _random_jump(support, generator)
        if not bool(support.any(dim=1).all()):
            raise ActionError(f"stage {self.name}: a state allows no action; its mask is wrong")
        weights = torch.rand(support.shape, generator=generator, device=support.device)
        return weights.masked_fill(~support, -1.0).argmax(dim=1)


def _random_jump(support: JumpSupport, generator: torch.Generator) -> Jump:
    shape, device = support.log_width.shape, support.device
    uniform = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
    coin = torch.rand(len(support), generator=generator, device=device) < 0.5
    return Jump(support.flag_forced | (support.flag_allowed & coin), torch.logit(uniform, eps=1e-300))


class Env(ABC, Generic[ObjectsT]):
    """A space of objects and the stages that build them.

    Attributes:
        stages: in the order in which they are passed.
        produces: kind of object, matched with a proxy's ``input_kind``: ``specs``, ``grid``, ``box`` or a name of
            the user's own.
    """

    stages: Sequence[Stage]
    produces: str

    @abstractmethod
    def objects(self, terminal: Context) -> ObjectsT:
        """The objects that finished states of all stages stand for, as the proxy takes them."""

    @abstractmethod
    def encode(self, objects: ObjectsT) -> tuple[Context, Tensor]:
        """Terminal states of given objects, for backward-sampled trajectories.

        Returns:
            The terminal states of the objects that lie in the space, and an (n,) bool mask that says which do.
        """

    def unfinished_objects(self, index: int, state: State, context: Context) -> ObjectsT:
        """Objects that unfinished states of a stage would be if they ended there, for forward-looking objectives.

        Raises:
            ConfigError: there are no such objects, unless overridden.
        """
        raise ConfigError(
            f"env {type(self).__name__} has no unfinished_objects: give objective.forward_looking=false, or write it"
        )

    def translate(self, terminal: Context, origin: Env) -> tuple[Context, Tensor]:
        """Terminal states of this environment for those of another one of the same layout.

        Args:
            terminal: n finished states of ``origin``.
            origin: sets that they come from.

        Returns:
            The terminal states of the objects that this environment reaches, and an (n,) bool mask of them.
        """
        return self.encode(origin.objects(terminal))

    def restrict(self, **constraints: object) -> Env:
        """The same environment under tighter constraints, on the same layout of actions and features.

        Raises:
            ConfigError: a constraint is unknown or leaves no overlap; every one is, unless overridden.
        """
        raise ConfigError(
            f"env {type(self).__name__} cannot be restricted; leave out restrict.{next(iter(constraints), 'exact')}"
        )

    def admits(self, objects: ObjectsT) -> Tensor:
        """(n,) bool: objects that keep to the constraints, whether or not the masks reach them.

        Raises:
            ConfigError: the environment cannot tell, unless overridden.
        """
        raise ConfigError(f"env {type(self).__name__} has no method admits; give restrict.exact=weights")

    def to(self, device: torch.device | str) -> Self:
        """Move tables to ``device``, in place."""
        return self

    def log_reference(self, terminal: Context) -> Tensor:
        """(n,) float64 log-density of the reference measure in the coordinates of the stages; zero unless overridden.

        Rewards and reported densities are with respect to the reference measure; the stages' own densities are with
        respect to counting measure and the unit box. The difference is this term.
        """
        return torch.zeros(terminal.n, dtype=torch.float64, device=terminal.device)

    def feature_sizes(self) -> list[int]:
        """Number of policy inputs of each stage: its own features and the summaries of the stages before."""
        sizes, summaries = [], 0
        for stage in self.stages:
            sizes.append(stage.n_features + summaries)
            summaries += stage.n_summary
        return sizes

    def layout_sizes(self) -> list[int]:
        """Number of policy inputs of each stage in the layout that the policies are made for."""
        sizes, summaries = [], 0
        for stage in self.stages:
            wide = stage.layout
            sizes.append((stage.n_features if wide is None else wide.n_features) + summaries)
            summaries += stage.n_summary if wide is None else wide.n_summary
        return sizes

    def feature_places(self, index: int) -> Tensor | None:
        """(feature_sizes()[index],) int64 places of a stage's policy inputs in the layout; None if it has no others."""
        if all(stage.layout is None for stage in self.stages[: index + 1]):
            return None
        stage, wide = self.stages[index], self.stages[index].layout
        places = [torch.arange(stage.n_features) if wide is None else wide.features.cpu()]
        start = stage.n_features if wide is None else wide.n_features
        for past in self.stages[:index]:
            own = torch.arange(past.n_summary) if past.layout is None else past.layout.summary.cpu()
            places.append(start + own)
            start += past.n_summary if past.layout is None else past.layout.n_summary
        return torch.cat(places)

    def features(self, index: int, state: State, context: Context) -> Tensor:
        """(n, feature_sizes()[index]) float32 policy input of stage ``index``."""
        earlier = [stage.summary(past) for stage, past in zip(self.stages, context.states, strict=False)]
        return torch.cat([self.stages[index].features(state), *earlier], dim=1)

    def empty_context(self, n: int, device: torch.device) -> Context:
        """Where ``n`` trajectories start."""
        return Context(n, device)
