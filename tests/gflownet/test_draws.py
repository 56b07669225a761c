"""Log-probabilities and gradients that sampling leaves behind, against an evaluation of the finished trajectories."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.hypergrid import GridState, Hypergrid
from gflownet_crystal.gflownet.batch import Batch, draw_batch
from gflownet_crystal.gflownet.evaluated import Evaluated
from gflownet_crystal.gflownet.fingerprints import distinct_rows
from gflownet_crystal.gflownet.flow_objectives import DetailedBalance, PolicyGradient, SubTrajectoryBalance
from gflownet_crystal.gflownet.log_probs import TransitionLogProbs, evaluate_transitions, sum_by_row
from gflownet_crystal.gflownet.model import GFlowNet, PolicyFactory
from gflownet_crystal.gflownet.objectives import (
    LogVariance,
    MaximumLikelihood,
    Objective,
    RelativeTrajectoryBalance,
    TrajectoryBalance,
)
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.gflownet.rollout import draw_forward, sample_forward
from gflownet_crystal.gflownet.steps import in_order, partial_reward
from gflownet_crystal.policies import Behaviour, MLPPolicy, ResidualPolicy, UniformPolicy
from gflownet_crystal.policies.base import Columns
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import GridCorners
from tests.gflownet.random_models import generator, random_model
from tests.models.host_guard import as_on_a_gpu

GRID = Hypergrid(2, 5)
REWARD = Reward(GridCorners(5), LogValue())
CRYSTAL = Crystal(["Na", "Mg", "Cl"], [2, 62, 225], max_count=8, n_elements=[2, 3], n_atoms=[2, 16])


class InDouble(MLPPolicy):
    """A perceptron in float64 that counts the states it sees."""

    seen = 0

    def some(self, stage: int, features: Tensor, columns: Columns) -> Tensor:
        self.seen += len(features)
        return super().some(stage, features.double(), columns)


def double_policy(seed: int) -> PolicyFactory:
    def make(shapes: Any) -> MLPPolicy:
        made = InDouble(shapes, n_layers=1, n_hidden=16, seed=seed).double()
        with torch.no_grad():
            for network in made.networks:
                network[-1].weight.mul_(40.0)
        return made

    return make


def double_model(env: Env, backward: PolicyFactory | None = None) -> GFlowNet:
    return GFlowNet(env, double_policy(0), backward or double_policy(1), flow=double_policy(2)).double()


def loss_of(
    objective: Objective, model: GFlowNet, batch: Batch, found: TransitionLogProbs, prior: Prior
) -> Tensor:
    """The loss of a batch with given log-probabilities of its transitions."""
    paths = batch.trajectories
    log_pf, log_pb = sum_by_row(paths, found.forward), sum_by_row(paths, found.backward)
    log_reference = model.env.log_reference(paths.terminal)
    terms = prior.terms(paths, generator())
    target = prior.target(terms, log_pb, batch.log_reward, log_reference, found.backward)
    partial = (
        partial_reward(model, lambda cells: REWARD(cells).log_reward) if objective.forward_looking else None
    )
    steps = in_order(model, paths, found.forward, target, partial) if objective.needs_flows else None
    n_data = paths.n - batch.new.n
    return objective(Evaluated(model.log_z, log_pf, target.log_density, batch.new.n, n_data, steps))


def gradients(model: GFlowNet, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), found, strict=True)]


def test_trajectories_drawn_as_on_a_gpu_are_those_of_a_cpu() -> None:
    model = double_model(CRYSTAL)
    mine = sample_forward(model, 64, generator(), Behaviour(0.2))
    with as_on_a_gpu():
        drawn, log_pf = draw_forward(model, 64, generator(), Behaviour(0.2))
        found = evaluate_transitions(model, drawn, log_pf)
    # draws of Betas take as many random numbers as their parameters make them, also where no Beta is needed
    for one, two in zip(mine.terminal.states[:2], drawn.terminal.states[:2], strict=True):
        assert all(torch.equal(column, two.to_dict()[name]) for name, column in one.to_dict().items())
    sums = [
        sum_by_row(drawn, terms.forward).square().sum() + sum_by_row(drawn, terms.backward).square().sum()
        for terms in (found, evaluate_transitions(model, drawn))
    ]
    assert torch.allclose(*sums, rtol=1e-12)
    for one, two in zip(*(gradients(model, total) for total in sums), strict=True):
        assert torch.allclose(one, two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backward", [double_policy(1), UniformPolicy], ids=["learned", "uniform"])
@pytest.mark.parametrize(
    "objective",
    [
        TrajectoryBalance(),
        RelativeTrajectoryBalance(),
        LogVariance(),
        MaximumLikelihood(),
        DetailedBalance(),
        DetailedBalance(forward_looking=True),
        SubTrajectoryBalance(),
        PolicyGradient(0.9),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_gradients_are_those_of_a_second_pass(objective: Objective, backward: PolicyFactory) -> None:
    model = double_model(GRID, backward)
    cells = GRID.cells()
    kept = Terminals(GRID.encode(cells)[0], REWARD(cells).log_reward)
    sources = [] if objective.on_policy else [(kept, 40)]
    behaviour = Behaviour() if objective.on_policy else Behaviour(0.3, 2.0)
    batch = draw_batch(model, REWARD, 60, sources, behaviour, generator())
    prior = Prior(random_model(GRID), 1.0 if objective.needs_prior else 0.0)
    again = evaluate_transitions(model, batch.trajectories)
    once, twice = (loss_of(objective, model, batch, found, prior) for found in (batch.log_probs, again))
    assert torch.allclose(once, twice, rtol=1e-12)
    pairs = list(zip(gradients(model, once), gradients(model, twice), strict=True))
    assert any(bool(one.abs().max() > 1e-3) for one, _ in pairs)
    for one, two in pairs:
        assert torch.allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(0.5, 2.0)], ids=["on policy", "exploring"])
def test_crystals_have_the_log_probabilities_of_a_second_pass(behaviour: Behaviour) -> None:
    model = double_model(CRYSTAL)
    paths, log_pf = draw_forward(model, 80, generator(), behaviour)
    again = evaluate_transitions(model, paths)
    for once, twice in zip(log_pf, again.forward, strict=True):
        assert torch.allclose(once, twice, rtol=1e-10, atol=1e-10)
    known = evaluate_transitions(model, paths, forward=log_pf)
    assert all(one is two for one, two in zip(known.forward, log_pf, strict=True))
    weights = torch.linspace(-1.0, 1.0, paths.n, dtype=torch.float64)
    sums = (sum_by_row(paths, terms) @ weights for terms in (log_pf, again.forward))
    for one, two in zip(*(gradients(model, total) for total in sums), strict=True):
        assert torch.allclose(one, two, rtol=1e-8, atol=1e-10)


def test_sampling_without_gradients_draws_the_same() -> None:
    model = double_model(CRYSTAL)
    paths, log_pf = draw_forward(model, 20, generator())
    plain = sample_forward(model, 20, generator())
    assert all(terms.requires_grad for terms in log_pf)
    for one, two in zip(paths.terminal.states, plain.terminal.states, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(two).values(), strict=True))


def test_equal_states_pass_the_network_once() -> None:
    model = double_model(GRID)
    counted = model.forward_policy
    assert isinstance(counted, InDouble)
    cells = GRID.cells()[torch.randint(0, 25, (300,), generator=generator())]
    state = GridState(cells, torch.zeros(300, dtype=torch.bool))
    context = GRID.empty_context(300, model.device)
    found = model.forward_parameters(0, state, context)
    assert counted.seen == 25
    for row in (0, 17, 299):
        alone = model.forward_parameters(0, state[row : row + 1], GRID.empty_context(1, model.device))
        assert torch.allclose(found[row], alone[0], rtol=1e-12)


def test_a_state_with_one_action_does_not_pass_the_network() -> None:
    model = double_model(GRID)
    counted = model.backward_policy
    assert isinstance(counted, InDouble)
    # from (k, 0) on, one dimension only leads back, and the stop is undone in one way
    cells = torch.tensor([[4, 0], [3, 0], [0, 0]])
    source = Terminals(GRID.encode(cells)[0], torch.zeros(3))
    paths = draw_batch(model, REWARD, 8, [(source, 50)], Behaviour(), generator()).trajectories
    seen = counted.seen
    own = draw_forward(model, 8, generator())[0]
    counted.seen = 0
    evaluate_transitions(model, own)
    # the policy's own trajectories are all that the backward policy saw
    assert paths.n == 58 and seen == counted.seen > 0


def test_dropout_differs_between_equal_states() -> None:
    def noisy(shapes: Any) -> ResidualPolicy:
        made = ResidualPolicy(shapes, 1, 64, dropout=0.5)
        with torch.no_grad():
            made.networks[0].last.normal_(generator=generator())
        return made

    model = GFlowNet(GRID, noisy, UniformPolicy)
    context = GRID.empty_context(64, model.device)
    source = GRID.stages[0].source(context)
    calm = model.forward_parameters(0, source, context)
    assert torch.equal(calm, calm[:1].expand_as(calm))
    model.train()
    wild = model.forward_parameters(0, source, context)
    assert len(torch.unique(wild, dim=0)) > 60


def test_distinct_rows_are_all_rows_without_repeats() -> None:
    position = torch.randint(0, 3, (200, 2), generator=generator())
    stopped = torch.randint(0, 2, (200,), generator=generator(1)).bool()
    rows, place = distinct_rows([GridState(position, stopped)])
    listed = [(*cell, flag) for cell, flag in zip(position.tolist(), stopped.tolist(), strict=True)]
    kept = [listed[row] for row in rows.tolist()]
    assert sorted(kept) == sorted(set(listed))
    assert [kept[at] for at in place.tolist()] == listed
