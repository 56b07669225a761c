"""check_env passes the small environments and finds each rule that a stage can break."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gflownet_crystal.common.errors import ContractError
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.config.groups import PACKAGE_CONFIG, group_choices
from gflownet_crystal.envs.base import Env, Jump
from gflownet_crystal.envs.box import Box, BoxStage
from gflownet_crystal.envs.hypergrid import GridStage, GridState, Hypergrid
from gflownet_crystal.testing import check_env


@pytest.mark.parametrize(
    ("kind", "settings"), [(Hypergrid, (1, 2)), (Hypergrid, (3, 5)), (Box, (1,)), (Box, (4, 0.2))], ids=str
)
@pytest.mark.parametrize("n", [1, 50])
def test_small_environments_pass(kind, settings, n):
    assert check_env(kind(*settings), n=n, seed=3) == []


@pytest.mark.parametrize("name", group_choices("env", [PACKAGE_CONFIG]))
def test_shipped_environments_pass(name):
    env = build(compose_config("train_gfn", [f"env={name}"]).env, Env, "env")
    assert check_env(env, n=48, seed=5) == []


class Forbidding(GridStage):
    def backward_support(self, state, context):
        support = super().backward_support(state, context)
        support[:, 0] &= ~support[:, 1]
        return support


class DeadEnds(GridStage):
    def forward_support(self, state, context):
        return super().forward_support(state, context) & (state.position.sum(1) != 3)[:, None]


class NeverStopping(GridStage):
    def finished(self, state):
        return torch.zeros_like(state.stopped)


class WrongParent(GridStage):
    def step_back(self, state, action, context):
        return GridState((state.position - 1).clamp(min=0), torch.zeros_like(state.stopped))


class WrongAction(GridStage):
    def forward_action(self, parent, child, context):
        return super().forward_action(parent, child, context) * 0


class WrongBackwardAction(GridStage):
    def backward_action(self, parent, child, context):
        return (super().backward_action(parent, child, context) + 1) % (self.n_dimensions + 1)


class TooManyActions(GridStage):
    """Allows the same move twice, so that a child has two ways in."""

    def forward_support(self, state, context):
        support = super().forward_support(state, context)
        support[:, 1] = support[:, 0]
        return support

    def step(self, state, action, context):
        return super().step(state, torch.where(action == 1, 0, action), context)


class Mutating(GridStage):
    def step(self, state, action, context):
        child = super().step(state, action, context)
        state.position.add_(1).clamp_(max=self.length - 1)
        return child


class Normalising(GridStage):
    def features(self, state):
        raw = super().features(state)
        return raw - raw.mean(dim=0)


class NarrowFeatures(GridStage):
    def features(self, state):
        return super().features(state)[:, 1:]


class DoubleFeatures(GridStage):
    def features(self, state):
        return super().features(state).double()


class NotFiniteFeatures(GridStage):
    def features(self, state):
        return super().features(state).log()


class GloballyRandom(GridStage):
    def source(self, context):
        torch.rand(1)
        return super().source(context)


class AnythingIsSource(GridStage):
    def at_source(self, state):
        return ~state.stopped


PLANTED = {
    Forbidding: "backward_support forbids",
    DeadEnds: "forward_support allows nothing",
    NeverStopping: "not finished after max_transitions",
    WrongParent: "step_back does not lead back",
    WrongAction: "forward_action is not the action taken",
    WrongBackwardAction: "backward_support forbids|backward_action is not",
    TooManyActions: "forward_action is not the action taken",
    Mutating: "step changes its input",
    Normalising: "features of a row depends on the rest",
    NarrowFeatures: "features has the wrong shape",
    DoubleFeatures: "features is not float32",
    NotFiniteFeatures: "features is not finite",
    GloballyRandom: "global random state",
    AnythingIsSource: "takes for the source",
}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_each_broken_rule_of_a_discrete_stage_is_named(planted):
    env = Hypergrid(2, 4)
    env.stages = (planted(2, 4),)
    with pytest.raises(ContractError, match=PLANTED[planted]):
        check_env(env)


class Drifting(BoxStage):
    def step_back(self, state, action, context):
        parent = super().step_back(state, action, context)
        return dataclasses.replace(parent, position=(parent.position * 0.99))


class NoWayHome(BoxStage):
    def backward_support(self, state, context):
        support = super().backward_support(state, context)
        never = torch.zeros_like(support.flag_forced)
        return dataclasses.replace(support, flag_allowed=state.stopped, flag_forced=never | state.stopped)


class WrongJump(BoxStage):
    def forward_action(self, parent, child, context):
        jump = super().forward_action(parent, child, context)
        return Jump(jump.flag, -jump.log_odds)


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (Drifting, "step_back does not lead back"),
        (NoWayHome, "backward_support forbids"),
        (WrongJump, "forward_action is not the action taken"),
    ],
)
def test_each_broken_rule_of_a_jump_stage_is_named(planted, words):
    env = Box(2)
    env.stages = (planted("box", 2, 0.1),)
    with pytest.raises(ContractError, match=words):
        check_env(env)


class Lossy(Hypergrid):
    def encode(self, objects):
        return super().encode(objects.clamp(max=2))


class Refusing(Hypergrid):
    def encode(self, objects):
        context, _ = super().encode(objects)
        rows = objects[:, 0] > 0
        return context[rows], rows


class Infinite(Box):
    def log_reference(self, terminal):
        return (self.objects(terminal)[:, 0] - 1.0).clamp(min=0.0).log()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (Lossy(2, 4), "is not x in stage grid"),
        (Refusing(2, 4), "encode does not find"),
        (Infinite(2), "log_reference is not finite"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_faults_of_the_environment_itself_are_named(env, words):
    with pytest.raises(ContractError, match=words):
        check_env(env)
