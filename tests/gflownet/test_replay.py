"""The replay buffer against a slow one made of Python lists."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.hypergrid import GridState
from gflownet_crystal.envs.lattice.jumps import JumpState
from gflownet_crystal.gflownet.fingerprints import fingerprints
from gflownet_crystal.gflownet.replay import Replay, Terminals


def terminal(positions: list[int]) -> Context:
    position = torch.tensor(positions, dtype=torch.int64).reshape(-1, 1)
    state = GridState(position, torch.ones(len(positions), dtype=torch.bool))
    return Context(len(positions), position.device, (state,))


def log_reward(positions: list[int]) -> torch.Tensor:
    return torch.tensor([float((7 * position) % 31) for position in positions], dtype=torch.float64)


def kept(replay: Replay) -> set[int]:
    filled = torch.isfinite(replay.log_reward)
    return set(replay.states[0].position[filled, 0].tolist())


BATCHES = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=12), min_size=1, max_size=8)


@given(BATCHES, st.integers(1, 10))
def test_the_best_are_kept_without_repeats(batches: list[list[int]], capacity: int) -> None:
    replay = Replay(terminal([0]), capacity, "best", "rank")
    seen: set[int] = set()
    for batch in batches:
        replay.add(terminal(batch), log_reward(batch))
        seen |= set(batch)
    # rewards differ between objects, so the best are unambiguous
    expected = sorted(seen, key=lambda position: -float(log_reward([position])))[:capacity]
    assert kept(replay) == set(expected)
    assert len(replay) == len(expected)


@given(BATCHES, st.integers(1, 10))
def test_the_most_recent_are_kept_in_a_ring(batches: list[list[int]], capacity: int) -> None:
    replay = Replay(terminal([0]), capacity, "recent", "uniform")
    slow: list[int] = []
    for batch in batches:
        new = [position for position in dict.fromkeys(batch) if position not in slow]
        slow = (slow + new)[-capacity:]
        replay.add(terminal(batch), log_reward(batch))
    assert kept(replay) == set(slow)
    assert len(replay) == len(slow)


@given(BATCHES, st.integers(1, 10), st.integers(1, 3))
def test_of_those_that_agree_without_real_numbers_the_best_stay(
    batches: list[list[int]], capacity: int, most: int
) -> None:
    def two_stages(numbers: list[int]) -> Context:
        kind = terminal([number % 3 for number in numbers])
        x = torch.tensor(numbers, dtype=torch.float64).reshape(-1, 1)
        flags = torch.ones(len(numbers), dtype=torch.bool)
        return kind.extended(JumpState(x, flags, flags, flags[:, None]))

    replay = Replay(two_stages([0]), capacity, most_per_kind=most)
    slow: list[int] = []
    for batch in batches:
        replay.add(two_stages(batch), log_reward(batch))
        best_first = sorted({*slow, *batch}, key=lambda number: -float(log_reward([number])))
        kinds: dict[int, list[int]] = {}
        for number in best_first:
            kinds.setdefault(number % 3, []).append(number)
        slow = [number for number in best_first if number in kinds[number % 3][:most]][:capacity]
        filled = torch.isfinite(replay.log_reward)
        # a slot that is free again holds what it held
        assert sorted(replay.states[1].position[filled, 0].tolist()) == sorted(slow)
        assert len(replay) == len(slow)
    drawn, rewards = replay.draw(50, torch.Generator().manual_seed(2))
    assert torch.equal(rewards, log_reward(drawn.states[1].position[:, 0].long().tolist()))


def test_each_object_keeps_its_reward() -> None:
    replay = Replay(terminal([0]), 20)
    for start in range(0, 60, 5):
        batch = list(range(start, start + 5))
        replay.add(terminal(batch), log_reward(batch))
    drawn, rewards = replay.draw(500, torch.Generator().manual_seed(1))
    assert torch.equal(rewards, log_reward(drawn.states[0].position[:, 0].tolist()))
    assert bool(drawn.states[0].stopped.all())


def test_rank_draws_follow_their_weights() -> None:
    positions = list(range(8))
    replay = Replay(terminal([0]), 8, "best", "rank")
    replay.add(terminal(positions), log_reward(positions))
    n = 200_000
    drawn, _ = replay.draw(n, torch.Generator().manual_seed(3))
    ranking = sorted(positions, key=lambda position: -float(log_reward([position])))
    weights = torch.tensor([1 / (0.01 * 8 + rank) for rank in range(1, 9)], dtype=torch.float64)
    expected = weights / weights.sum()
    counts = torch.bincount(drawn.states[0].position[:, 0], minlength=8)[ranking] / n
    assert float((counts - expected).abs().max()) < 5 * (0.25 / n) ** 0.5


def test_uniform_draws_reach_only_what_is_kept() -> None:
    replay = Replay(terminal([0]), 100, "best", "uniform")
    replay.add(terminal([3, 5, 9]), log_reward([3, 5, 9]))
    drawn, _ = replay.draw(3000, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn.states[0].position[:, 0], minlength=10)
    assert set(counts.nonzero()[:, 0].tolist()) == {3, 5, 9}
    assert float((counts[[3, 5, 9]] / 1000 - 1).abs().max()) < 0.15


def test_state_dict_restores_everything() -> None:
    first, second = Replay(terminal([0]), 6), Replay(terminal([0]), 6)
    first.add(terminal([4, 8, 2]), log_reward([4, 8, 2]))
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    for replay in (first, second):
        replay.add(terminal([2, 11, 8, 30]), log_reward([2, 11, 8, 30]))
    draws = [replay.draw(50, torch.Generator().manual_seed(5)) for replay in (first, second)]
    assert torch.equal(draws[0][0].states[0].position, draws[1][0].states[0].position)
    assert len(first) == len(second) == 6 - 1


def test_a_buffer_of_another_size_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"trainer\.replay"):
        Replay(terminal([0]), 6).load_state_dict(Replay(terminal([0]), 7).state_dict())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=2, max_size=30))
def test_fingerprints_differ_where_rows_do(rows: list[tuple[int, int, bool]]) -> None:
    state = GridState(
        torch.tensor([row[:2] for row in rows], dtype=torch.int64), torch.tensor([row[2] for row in rows])
    )
    values = fingerprints((state,)).tolist()
    assert len(set(values)) == len(set(rows))
    assert len(set(zip(rows, values, strict=True))) == len(set(rows))


def test_fingerprints_tell_neighbouring_floats_apart() -> None:
    x = torch.tensor([0.1, 0.2, 0.0, -0.0], dtype=torch.float64)
    position = torch.stack([x, torch.nextafter(x, x + 1)]).reshape(-1, 1)
    flags = torch.zeros(len(position), dtype=torch.bool)
    values = fingerprints((JumpState(position, flags, flags, flags[:, None]),)).tolist()
    # 0.0 and -0.0 are one value, as are their upper neighbours
    assert len(set(values)) == 6


def test_terminals_are_drawn_uniformly_with_their_rewards() -> None:
    positions = [1, 4, 6]
    given_set = Terminals(terminal(positions), log_reward(positions))
    drawn, rewards = given_set.draw(3000, torch.Generator().manual_seed(0))
    assert torch.equal(rewards, log_reward(drawn.states[0].position[:, 0].tolist()))
    counts = torch.bincount(drawn.states[0].position[:, 0], minlength=7)[positions]
    assert float((counts / 1000 - 1).abs().max()) < 0.15


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="capacity"):
        Replay(terminal([0]), 0)
    with pytest.raises(ConfigError, match="most_per_kind"):
        Replay(terminal([0]), 5, "recent", most_per_kind=2)
    with pytest.raises(ConfigError, match="best, recent"):
        Replay(terminal([0]), 5, "worst")
    with pytest.raises(ConfigError, match="empty"):
        Replay(terminal([0]), 5).draw(1, torch.Generator())
    with pytest.raises(ConfigError, match="no object"):
        Terminals(terminal([]), log_reward([]))
