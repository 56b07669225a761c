"""Training reaches known distributions; a run that was stopped goes on bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gflownet_crystal.common.checkpoint import (
    TrainingStopped,
    load_checkpoint,
    load_weights,
    newest_checkpoint,
)
from gflownet_crystal.common.errors import ConfigError, ProxyError, TrainingError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.evaluated import Evaluated
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import LogVariance, Objective, TrajectoryBalance
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.policies import MLPPolicy
from gflownet_crystal.policies.distributions import Behaviour
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import BoxCorners, GridCorners
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.samplers.settings import LocalSearchSettings, ReplaySettings, TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.training.schedule import ScheduleSettings


def make_engine(
    folder: Path,
    env: Env,
    proxy: Proxy,
    settings: dict[str, Any],
    objective: Objective | None = None,
    hidden: int = 32,
    dataset: Terminals | None = None,
) -> Engine[SamplerTraining]:
    model = GFlowNet(
        env, lambda s: MLPPolicy(s, 2, hidden, seed=0), lambda s: MLPPolicy(s, 2, hidden, seed=1)
    )
    chosen = TrainerSettings(**settings)
    reward, loss = Reward(proxy, LogValue()), objective or TrajectoryBalance()
    training = SamplerTraining(model, reward, loss, chosen, dataset=dataset)
    return Engine(training, folder, chosen.checkpoint_every, quiet=True)


def grid_engine(folder: Path, **settings: Any) -> Engine[SamplerTraining]:
    return make_engine(
        folder, Hypergrid(2, 6), GridCorners(6), {"batch_size": 32, "checkpoint_every": 5} | settings
    )


def total_variation(model: GFlowNet, proxy: Proxy) -> float:
    env = model.env
    assert isinstance(env, Hypergrid)
    terminal, _ = env.encode(env.cells())
    reward = proxy(env.cells()).value
    sampled = log_prob(model, terminal, 256, torch.Generator().manual_seed(9)).log_prob.exp()
    return 0.5 * float((sampled - reward / reward.sum()).abs().sum())


@pytest.mark.parametrize(
    ("objective", "extra"),
    [
        (TrajectoryBalance(), {"iterations": 500, "learning_rate": 3e-3}),
        (TrajectoryBalance(huber=1.0), {"replay_fraction": 0.3, "ema": 0.98, "iterations": 300}),
        (LogVariance(), {"temperature": 1.5, "local_search": LocalSearchSettings(0.3, back=4), "ema": 0.97}),
    ],
    ids=["plain", "replay and average", "log variance and local search"],
)
def test_the_grid_is_sampled_in_proportion_to_its_reward(
    tmp_path: Path, objective: Objective, extra: dict[str, Any]
) -> None:
    settings = {"iterations": 250, "batch_size": 128, "learning_rate": 8e-3, "checkpoint_every": 500} | extra
    proxy = GridCorners(8)
    engine = make_engine(tmp_path, Hypergrid(2, 8), proxy, settings, objective)
    engine.train()
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    load_weights(engine.training.model, checkpoint)
    exact = float(proxy(Hypergrid(2, 8).cells()).value.sum().log())
    assert total_variation(engine.training.model, proxy) <= 0.02
    assert float(engine.training.model.log_z.detach()) == pytest.approx(exact, abs=0.02)


def test_a_dataset_alone_teaches_what_the_policy_rarely_meets(tmp_path: Path) -> None:
    env, proxy = Hypergrid(2, 8), GridCorners(8, r0=1e-3, r1=0.0, r2=2.0)
    modes = env.cells()[proxy(env.cells()).value > 1.0]
    terminal, _ = env.encode(modes)
    dataset = Terminals(terminal, proxy(modes).value.log())
    settings = {"iterations": 450, "batch_size": 64, "dataset_fraction": 0.5, "learning_rate": 3e-3}
    engine = make_engine(tmp_path, env, proxy, settings, dataset=dataset)
    engine.train()
    assert total_variation(engine.training.model, proxy) <= 0.03


@pytest.mark.slow
def test_the_partition_function_of_the_box(tmp_path: Path) -> None:
    proxy = BoxCorners(2, width=0.15, floor=0.05)
    settings = {"iterations": 1500, "batch_size": 256, "checkpoint_every": 1500, "learning_rate": 2e-3}
    engine = make_engine(tmp_path, Box(2), proxy, settings, hidden=64)
    engine.train()
    assert float(engine.training.model.log_z.detach()) == pytest.approx(proxy.log_integral(), abs=0.05)


def test_log_z_starts_at_the_first_batch(tmp_path: Path) -> None:
    started = grid_engine(tmp_path / "a", iterations=1, learning_rate_log_z=1e-9)
    started.train()
    plain = grid_engine(tmp_path / "b", iterations=1, learning_rate_log_z=1e-9, init_log_z=False)
    plain.train()
    first, second = (read_metrics(tmp_path / name / "metrics.jsonl")[0] for name in ("a", "b"))
    # at the mean of the residuals the mean square is smallest, by the square of the shift
    assert float(plain.training.model.log_z.detach()) == pytest.approx(0.0, abs=1e-6)
    assert second["loss"] - first["loss"] == pytest.approx(first["log_z"] ** 2, rel=1e-4)


REPLAY = {"replay_fraction": 0.25, "replay": ReplaySettings(capacity=40), "ema": 0.9}
NEAR = {"local_search": LocalSearchSettings(0.25), "replay": ReplaySettings(capacity=40, most_per_kind=2)}
COSINE = {"schedule": ScheduleSettings("cosine", warm_up=4), "exploration": 0.3}


@pytest.mark.parametrize(
    "extra",
    [{}, REPLAY | NEAR, COSINE, REPLAY | {"exploration": 0.0}],
    ids=["plain", "replay, near", "cosine", "both"],
)
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, extra: dict[str, Any]) -> None:
    undisturbed = grid_engine(tmp_path / "whole", iterations=20, **extra)
    undisturbed.train()
    for stop_at in (3, 5, 12):
        folder = tmp_path / f"stopped{stop_at}"
        first = grid_engine(folder, iterations=20, **extra)
        with pytest.raises(TrainingStopped, match=f"step {stop_at}"):
            first.train(lambda first=first, stop_at=stop_at: first.training.done == stop_at)
        second = grid_engine(folder, iterations=20, **extra)
        checkpoint, _ = newest_checkpoint(folder)
        assert checkpoint is not None
        second.restore(checkpoint)
        assert second.training.done == stop_at
        second.train()
        ends = [
            load_checkpoint(path / "checkpoints" / "step_00000020.safetensors")
            for path in (tmp_path / "whole", folder)
        ]
        assert ends[0].tensors.keys() == ends[1].tensors.keys()
        assert all(torch.equal(value, ends[1].tensors[name]) for name, value in ends[0].tensors.items())
        histories = [
            without_time(read_metrics(path / "metrics.jsonl")) for path in (tmp_path / "whole", folder)
        ]
        assert histories[0] == histories[1]
        assert [record["step"] for record in histories[0]] == list(range(1, 21))


def without_time(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "trajectories_per_second"} for record in records]


class BrokenLater(GridCorners):
    """Gives NaN from the third call on."""

    calls = 0

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().predict(batch) * (float("nan") if self.calls > 2 else 1.0)


def test_nan_from_a_proxy_names_the_object_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    settings = {"iterations": 10, "batch_size": 8, "checkpoint_every": 1}
    engine = make_engine(tmp_path, Hypergrid(2, 6), BrokenLater(6), settings)
    with pytest.raises(ProxyError, match="row 0"):
        engine.train()
    checkpoint, complaints = newest_checkpoint(tmp_path)
    assert checkpoint is not None and not complaints
    assert checkpoint.metadata["iteration"] == 2
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 2


class NotFinite(Objective):
    """A loss that is not a number."""

    def __call__(self, batch: Evaluated) -> torch.Tensor:
        return (batch.log_z + batch.log_pf - batch.log_target).mean() * float("nan")


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    engine = make_engine(
        tmp_path, Hypergrid(2, 6), GridCorners(6), {"iterations": 3, "init_log_z": False}, NotFinite()
    )
    before = {name: value.clone() for name, value in engine.training.model.state_dict().items()}
    with pytest.raises(TrainingError, match="step 1"):
        engine.train()
    assert all(torch.equal(before[name], value) for name, value in engine.training.model.state_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"ema": 1.0},
        {"clip_norm": -1.0},
        {"exploration_final": 1.5},
        {"temperature_final": 0.0, "behaviour_iterations": 5000},
        {"replay_fraction": 0.6, "dataset_fraction": 0.4},
        {"replay_fraction": -0.1},
        {"replay_fraction": 0.5, "local_search": LocalSearchSettings(0.5)},
        {"replay_fraction": 1e300, "batch_size": 2**62},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TrainerSettings(**wrong)


def test_behaviour_is_a_straight_line_that_ends() -> None:
    slope = {"exploration": 0.4, "exploration_final": 0.0, "temperature": 3.0, "temperature_final": 1.0}
    settings = TrainerSettings(iterations=900, behaviour_iterations=100, **slope)
    assert settings.behaviour(0) == Behaviour(0.4, 3.0)
    assert settings.behaviour(25).exploration == pytest.approx(0.3)
    assert settings.behaviour(25).temperature == pytest.approx(2.5)
    assert settings.behaviour(500) == Behaviour(0.0, 1.0)
    whole = TrainerSettings(iterations=100, **slope)
    assert whole.behaviour(25) == settings.behaviour(25)


def test_the_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    grid_engine(tmp_path, iterations=2, replay_fraction=0.2).train()
    assert torch.equal(torch.get_rng_state(), before)
