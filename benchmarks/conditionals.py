"""Exact distributions over the lattices of given crystals, and an environment that picks one and builds its lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.envs.base import Action, Context, DiscreteActions, Env, Stage, State
from gflownet_crystal.envs.composition.stage import CompositionState
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.lattice.jumps import JumpStage, JumpState
from gflownet_crystal.evaluation.annealing import Move, Proposal, anneal
from gflownet_crystal.evaluation.quadrature import unit_box_nodes
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.structures.spec import CrystalSpec

QUADRATURE_NODES = {1: 400, 2: 128}
"""Nodes of an axis, by dimension; beyond two dimensions importance sampling takes over."""

DEFENSIVE = 0.1
"""Share of uniform draws in the importance sampler, so that weights stay bounded wherever the reward is."""


@dataclass(frozen=True)
class Exact:
    """A distribution over the unit box of the lattice stage as weighted points.

    Attributes:
        position: (n, 6) float64.
        log_mass: (n,) float64, log of each point's share; sums to 1.
        log_z: log of the integral of R over the reference measure.
        effective: effective number of points.
    """

    position: Tensor
    log_mass: Tensor
    log_z: float
    effective: float


class Conditional:
    """R over the lattice of one crystal, in the coordinates of the lattice stage's unit box.

    Args:
        crystal: the environment.
        reward: of specs.
        discrete: finished states of the group and composition stages, one row.
    """

    def __init__(self, crystal: Crystal, reward: Reward, discrete: Context) -> None:
        self.crystal, self.reward, self.discrete = crystal, reward, discrete
        self.free = crystal.lattice.free_dimensions(discrete)[0].nonzero().squeeze(1)

    @property
    def dimensions(self) -> int:
        """Free dimensions."""
        return len(self.free)

    def position(self, points: Tensor) -> Tensor:
        """(n, 6) positions of (n, d) points of the free dimensions."""
        return points.new_zeros(len(points), 6).index_copy(1, self.free, points)

    def log_density(self, points: Tensor) -> Tensor:
        """(n,) log R with the box's Jacobian at (n, d) points."""
        rows = torch.zeros(len(points), dtype=torch.int64)
        context = self.discrete[rows]
        context = context.extended(self.crystal.lattice.terminal(self.position(points), context))
        scored = self.reward(self.crystal.objects(context))
        return scored.log_reward + self.crystal.log_reference(context)

    def exact(self, generator: torch.Generator, n: int = 20_000) -> Exact:
        """By Gauss-Legendre quadrature in up to two dimensions, else by importance sampling."""
        if self.dimensions in QUADRATURE_NODES:
            return self.by_quadrature()
        return self.by_importance_sampling(generator, n)

    def by_quadrature(self) -> Exact:
        """Nodes of Gauss-Legendre panels of eight."""
        points, log_weight = unit_box_nodes(self.dimensions, 8, QUADRATURE_NODES[self.dimensions] // 8)
        return self._weighted(points, self.log_density(points) + log_weight)

    def by_importance_sampling(self, generator: torch.Generator, n: int) -> Exact:
        """Draws from a Gaussian mixture fitted to an annealed population, and from the uniform distribution."""
        energy = Reward(_Negative(self), Boltzmann(1.0))
        start = torch.rand(1000, self.dimensions, generator=generator, dtype=torch.float64)
        found = anneal(start, energy, [_step(0.2), _step(0.05), _step(0.015)], generator, 3, 1, 10)
        mixture = GaussianMixture(4, random_state=0, reg_covar=1e-7).fit(found.particles.objects.numpy())
        # a little wider than the population, whose tails are thin
        wide = _widened(mixture, 1.5)
        drawn, _ = wide.sample(n)
        points = torch.rand(n, self.dimensions, generator=generator, dtype=torch.float64)
        uniform = torch.rand(n, generator=generator) < DEFENSIVE
        points = torch.where(
            uniform[:, None], points, torch.from_numpy(np.random.default_rng(0).permutation(drawn))
        )
        points = points[((points > 0.0) & (points < 1.0)).all(dim=1)]
        log_mixture = torch.from_numpy(wide.score_samples(points.numpy()))
        log_proposal = torch.logaddexp(
            log_mixture + np.log(1.0 - DEFENSIVE), torch.full_like(log_mixture, np.log(DEFENSIVE))
        )
        return self._weighted(points, self.log_density(points) - log_proposal - float(np.log(n)))

    def _weighted(self, points: Tensor, log_weight: Tensor) -> Exact:
        log_z = torch.logsumexp(log_weight, dim=0)
        log_mass = log_weight - log_z
        effective = torch.exp(-torch.logsumexp(2.0 * log_mass, dim=0))
        return Exact(self.position(points), log_mass, float(log_z), float(effective))


class _Negative(Proxy):
    input_kind = "box"
    property_name = "negative_log_density"
    unit = "1"

    def __init__(self, conditional: Conditional) -> None:
        self.conditional = conditional

    def predict(self, batch: Tensor) -> Tensor:
        return -self.conditional.log_density(batch)


def _step(size: float) -> Move:
    def move(points: Tensor, generator: torch.Generator) -> Proposal:
        proposed = points + size * torch.randn(points.shape, generator=generator, dtype=torch.float64)
        inside = ((proposed > 0.0) & (proposed < 1.0)).all(dim=1)
        return Proposal(proposed, inside, torch.zeros(len(points), dtype=torch.float64))

    return move


def _widened(mixture: GaussianMixture, factor: float) -> GaussianMixture:
    mixture.covariances_ = mixture.covariances_ * factor
    mixture.precisions_cholesky_ = mixture.precisions_cholesky_ / factor**0.5
    return mixture


@dataclass(frozen=True)
class ChoiceState(TensorBatch):
    """Which crystal was chosen.

    Attributes:
        index: (n,) int64.
        chosen: (n,) bool.
    """

    index: Tensor
    chosen: Tensor


class ChoiceStage(Stage):
    """One step: a crystal of the list. Its summary is that of its finished group and composition.

    Args:
        description: (m, f) float32 summaries of the crystals.
    """

    name = "choice"
    max_transitions = 1
    n_features = 1

    def __init__(self, description: Tensor) -> None:
        self.description = description
        self.forward_actions, self.backward_actions = DiscreteActions(len(description)), DiscreteActions(1)
        self.n_summary = description.shape[1]

    def source(self, context: Context) -> ChoiceState:
        zero = torch.zeros(context.n, dtype=torch.int64)
        return ChoiceState(zero, zero > 0)

    def finished(self, state: State) -> Tensor:
        return cast(ChoiceState, state).chosen

    def at_source(self, state: State) -> Tensor:
        return ~cast(ChoiceState, state).chosen

    def forward_support(self, state: State, context: Context) -> Tensor:
        return torch.ones(len(state), len(self.description), dtype=torch.bool)

    def backward_support(self, state: State, context: Context) -> Tensor:
        return torch.ones(len(state), 1, dtype=torch.bool)

    def step(self, state: State, action: Action, context: Context) -> ChoiceState:
        return ChoiceState(cast(Tensor, action), torch.ones(len(state), dtype=torch.bool))

    def step_back(self, state: State, action: Action, context: Context) -> ChoiceState:
        return self.source(context)

    def backward_action(self, parent: State, child: State, context: Context) -> Tensor:
        return torch.zeros(len(child), dtype=torch.int64)

    def forward_action(self, parent: State, child: State, context: Context) -> Tensor:
        return cast(ChoiceState, child).index

    def features(self, state: State) -> Tensor:
        return torch.zeros(len(state), 1)

    def summary(self, state: State) -> Tensor:
        return self.description[cast(ChoiceState, state).index]


class ChosenLattice(JumpStage):
    """The crystal environment's lattice stage after a choice."""

    def __init__(self, crystal: Crystal, discrete: Context) -> None:
        super().__init__("lattice", 6, crystal.lattice.minimum_increment)
        self.crystal, self.discrete = crystal, discrete

    def free_dimensions(self, context: Context) -> Tensor:
        return self.crystal.lattice.free_dimensions(self.discrete[cast(ChoiceState, context.states[0]).index])


@dataclass(frozen=True)
class ChosenCrystal(TensorBatch):
    """A spec, field by field, and which crystal of the list it is."""

    space_group: Tensor
    composition: Tensor
    lengths: Tensor
    angles: Tensor
    index: Tensor

    @property
    def spec(self) -> CrystalSpec:
        """The spec alone."""
        return CrystalSpec(self.space_group, self.composition, self.lengths, self.angles)


class LatticeOfList(Env):
    """Chooses one of given crystals and builds its lattice as the crystal environment does."""

    produces = "chosen_crystals"

    def __init__(self, crystal: Crystal, discrete: Context) -> None:
        group, composition = crystal.stages[:2]
        description = torch.cat(
            [group.summary(discrete.states[0]), composition.summary(discrete.states[1])], dim=1
        )
        self.crystal, self.discrete = crystal, discrete
        self.lattice = ChosenLattice(crystal, discrete)
        self.stages = (ChoiceStage(description), self.lattice)

    def full(self, terminal: Context) -> Context:
        """The crystal environment's terminal states."""
        choice, lattice = terminal.states
        return self.discrete[cast(ChoiceState, choice).index].extended(lattice)

    def objects(self, terminal: Context) -> ChosenCrystal:
        spec = self.crystal.objects(self.full(terminal))
        index = cast(ChoiceState, terminal.states[0]).index
        return ChosenCrystal(spec.space_group, spec.composition, spec.lengths, spec.angles, index)

    def encode(self, objects: ChosenCrystal) -> tuple[Context, Tensor]:
        context, inside = self.crystal.encode(objects.spec)
        return self.at(objects.index[inside], cast(JumpState, context.states[2]).position), inside

    def at(self, index: Tensor, position: Tensor) -> Context:
        """Terminal states of crystals (n,) at positions (n, 6) of the lattice box."""
        choice = Context(len(index), index.device, (ChoiceState(index, index >= 0),))
        return choice.extended(self.lattice.terminal(position, choice))

    def log_reference(self, terminal: Context) -> Tensor:
        return self.crystal.log_reference(self.full(terminal))


def discrete_states(crystal: Crystal, groups: Tensor, counts: Tensor) -> Context:
    """Finished group and composition stages of (n,) groups and (n, E) counts."""
    stopped = torch.ones(len(groups), dtype=torch.bool)
    return Context(
        len(groups), groups.device, (crystal.space_group.terminal(groups), CompositionState(counts, stopped))
    )
