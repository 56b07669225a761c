"""Conditions: ranges, draws and values; and how models, rewards of each row and replay take them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.batch import reward_of
from gflownet_crystal.gflownet.conditions import Conditions
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.replay import Replay
from gflownet_crystal.gflownet.rollout import sample_forward, sample_terminal
from gflownet_crystal.proxies.reward import Boltzmann, Reward
from gflownet_crystal.proxies.toy import GridCorners
from tests.gflownet.random_models import generator, random_policy

LENGTH = 4
GRID = Hypergrid(2, LENGTH)
TWO = Conditions({"beta": (4.0, 32.0), "gap": (-1.0, 3.0)})
REWARD = Reward(GridCorners(LENGTH), Boltzmann(1.0))


def model(conditions: Conditions = TWO) -> GFlowNet:
    made = GFlowNet(GRID, random_policy(60.0, 3), random_policy(20.0, 4), conditions=conditions)
    with torch.no_grad():
        made.log_z_weights.fill_(0.1)
        assert made.log_z_network is not None
        made.log_z_network.layers[-1].weight.fill_(0.05)
    return made


def test_draws_fill_the_range_with_a_share_at_each_end_and_held_values_stay() -> None:
    values = TWO.values(TWO.draw(20_000, generator()))
    for name, (low, high) in TWO.ranges.items():
        drawn = values[name]
        assert float(drawn.min()) == low and float(drawn.max()) == high
        # the cumulative distribution of a uniform one, but for the ends
        shares = [float((drawn <= low + part * (high - low)).double().mean()) for part in (0.25, 0.5, 0.75)]
        assert shares == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
        assert 0.01 < float((drawn == low).double().mean()) < 0.05
    held = TWO.at({"beta": 11.0})
    assert held.free == ["gap"]
    values = held.values(held.draw(50, generator()))
    assert values["beta"].tolist() == pytest.approx([11.0] * 50) and len(values["gap"].unique()) > 40


@pytest.mark.parametrize(
    ("ranges", "given", "told"),
    [
        ({}, {}, r"condition\.beta=\[4,32\]"),
        ({"beta": 4.0}, {}, r"condition\.beta must be a range"),
        ({"beta": [4.0]}, {}, r"condition\.beta must be a range"),
        ({"beta": [4.0, 4.0]}, {}, r"condition\.beta must be a range"),
        ({"beta": [5.0, 4.0]}, {}, r"condition\.beta must be a range"),
        ({"beta": [4.0, float("inf")]}, {}, r"condition\.beta must be a range"),
        ({"beta": [True, 4.0]}, {}, r"condition\.beta must be a range"),
        ({"beta": "ab"}, {}, r"condition\.beta must be a range"),
        ({"beta": [4.0, 32.0]}, {"beta": 33.0}, "from 4 to 32"),
        ({"beta": [4.0, 32.0]}, {"beta": float("nan")}, "from 4 to 32"),
        ({"beta": [4.0, 32.0]}, {"beta": "much"}, "from 4 to 32"),
        ({"beta": [4.0, 32.0]}, {"bta": 5.0}, "did you mean beta"),
    ],
)
def test_ranges_and_values_that_make_no_sense_are_refused(ranges: Any, given: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Conditions(ranges, given)


def test_a_trajectory_has_the_probability_of_a_model_that_is_held_at_its_condition() -> None:
    mixed = model()
    paths = sample_forward(mixed, 6, generator())
    condition = paths.terminal.condition
    assert condition is not None and condition.shape == (6, 2)
    with torch.no_grad():
        log_pf, log_pb = evaluate(mixed, paths)
    log_z, values = mixed.log_z_of(paths.terminal), TWO.values(condition)
    assert log_z.shape == (6,) and len(log_z.unique()) == 6
    end, _ = GRID.encode(GRID.objects(paths.terminal))
    for row in range(6):
        held = mixed.at({name: float(value[row]) for name, value in values.items()})
        again = type(paths)(end, paths.stages)
        with torch.no_grad():
            one_pf, one_pb = evaluate(held, again)
        assert float(one_pf[row]) == pytest.approx(float(log_pf[row]), abs=1e-5)
        assert float(one_pb[row]) == pytest.approx(float(log_pb[row]), abs=1e-5)
        assert float(held.log_z.detach()) == pytest.approx(float(log_z[row].detach()), abs=1e-5)
    assert len(log_pf.unique()) == 6


def test_a_model_needs_the_values_of_all_of_its_conditions_and_has_no_others() -> None:
    end, _ = GRID.encode(GRID.cells())
    part = model().at({"beta": 5.0})
    with pytest.raises(ConfigError, match=r"condition\.gap=VALUE from -1 to 3"):
        part.log_z_of(end)
    with pytest.raises(ConfigError, match=r"condition\.gap=VALUE"):
        _ = part.log_z
    plain = GFlowNet(GRID, random_policy(60.0, 3), random_policy(20.0, 4))
    assert plain.at({}) is plain
    with pytest.raises(ConfigError, match="trained without conditions"):
        plain.at({"beta": 5.0})


def test_the_reward_of_rows_is_that_of_each_row_with_its_own_value() -> None:
    one = Conditions({"beta": (-3.0, 3.0)})
    terminal = sample_terminal(model(one), 8, generator())
    assert terminal.condition is not None
    beta = one.values(terminal.condition)["beta"]
    objects = GRID.objects(terminal)
    together = reward_of(model(one), REWARD, terminal)(objects).log_reward
    alone = [
        Reward(GridCorners(LENGTH), Boltzmann(float(b)))(objects[[i]]).log_reward for i, b in enumerate(beta)
    ]
    assert together.tolist() == pytest.approx(torch.cat(alone).tolist())


def test_replay_gives_back_objects_with_the_condition_that_their_reward_is_of() -> None:
    sampler = model()
    terminal = sample_terminal(sampler, 30, generator())
    assert terminal.condition is not None
    # a log-reward that tells the condition and the object
    cell = GRID.objects(terminal)

    def key(cells: Tensor, condition: Tensor) -> Tensor:
        return 100.0 * cells[:, 0] + 10.0 * cells[:, 1] + condition[:, 0]

    replay = Replay(terminal[torch.arange(1)], 25)
    replay.add(terminal, key(cell, terminal.condition).double())
    restored = Replay(terminal[torch.arange(1)], 25)
    restored.load_state_dict(replay.state_dict())
    for one in (replay, restored):
        drawn, log_reward = one.draw(40, generator(1))
        assert drawn.condition is not None and drawn.condition.shape == (40, 2)
        assert log_reward.tolist() == pytest.approx(key(GRID.objects(drawn), drawn.condition).tolist())
    # the same object under another condition is another entry
    assert len(replay) == 25
