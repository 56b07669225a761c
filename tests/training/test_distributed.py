"""Two processes against one: the same start, averaged gradients, one run folder, exact resume.

Where only the averages matter, two threads stand for two processes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.checkpoint import checkpoint_paths, load_checkpoint, save_checkpoint
from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.batch import Batch, cat_contexts, cat_trajectories
from gflownet_crystal.gflownet.log_probs import cat_log_probs, evaluate_transitions
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.policies import MLPPolicy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.training.base import Training, take_all_steps
from gflownet_crystal.training.distributed import World, join_world
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.training.settings import LoopSettings
from tests.cli.commands import SMALL_GRID, run_words, torchrun
from tests.data.crystals import stored_frame
from tests.training.test_networks import Line
from tests.training.worlds import in_two_threads


def test_without_torchrun_the_world_is_one_process() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    with join_world() as world:
        assert world == World() and world.is_main
        assert world.mean(values) is values and world.gather(values) is values
        assert world.any(True, values.device) and not world.any(False, values.device)


def sampler(world: World | None = None, batch_size: int = 24, iterations: int = 1) -> SamplerTraining:
    """A training on a grid, with a learned backward policy."""
    model = GFlowNet(
        Hypergrid(2, 8), lambda s: MLPPolicy(s, 2, 32, seed=0), lambda s: MLPPolicy(s, 2, 32, seed=1)
    )
    settings = TrainerSettings(iterations=iterations, batch_size=batch_size, learning_rate=3e-3)
    return SamplerTraining(
        model, Reward(GridCorners(8), LogValue()), TrajectoryBalance(), settings, world=world
    )


def gradients(training: Training) -> Tensor:
    """Gradients of a step, in a row."""
    training.take_step()
    return torch.cat([value.grad.reshape(-1) for value in training.optimizer.named.values()])


def test_two_batches_have_the_gradient_of_one_twice_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [sampler()._draw(), sampler(World(1, 1))._draw()]
    assert not torch.equal(halves[0].log_reward, halves[1].log_reward)
    scored = replace(halves[0].scored, log_reward=torch.cat([half.log_reward for half in halves]))
    whole = Batch(
        cat_trajectories([half.trajectories for half in halves]),
        cat_log_probs([half.log_probs for half in halves]),
        scored.log_reward,
        cat_contexts([half.new for half in halves]),
        scored,
    )

    def drawn(self: SamplerTraining) -> Batch:
        batch = halves[self.world.rank] if self.world.size == 2 else whole
        return replace(batch, log_probs=evaluate_transitions(self.model, batch.trajectories))

    monkeypatch.setattr(SamplerTraining, "_draw", drawn)
    expected = gradients(sampler())
    assert float(expected.norm()) > 1e-3
    for found in in_two_threads(lambda world: gradients(sampler(world))):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_two_processes_learn_from_data_as_one_with_batches_twice_as_large() -> None:
    settings = LoopSettings(epochs=2, atoms=12, learning_rate=0.05, half=False)

    def learned(world: World) -> NetworkTraining:
        # batches of one crystal, where a process has none, and of several
        task = Line(exact=True)
        task.sizes = torch.tensor([2] * 30 + [9] * 30)
        training = NetworkTraining(task, replace(settings, atoms=settings.atoms // world.size), 0, world)
        take_all_steps(training)
        return training

    alone = learned(World())
    assert {len(rows) % 2 for rows in alone.batches.epoch(0)} == {0, 1}
    for one in in_two_threads(learned):
        assert (one.steps, one.samples) == (alone.steps, alone.samples)
        torch.testing.assert_close(one.model.state_dict(), alone.model.state_dict(), atol=1e-6, rtol=1e-5)


def test_a_run_goes_on_with_as_many_processes(tmp_path: Path) -> None:
    settings = LoopSettings(epochs=1, atoms=20, half=False)
    parts, values = NetworkTraining(Line(), settings).state()
    save_checkpoint(tmp_path, 0, parts, metrics_offset=0, **values)
    two = NetworkTraining(Line(), settings, world=World(0, 2))
    with pytest.raises(CheckpointError, match="trained by 1 processes and now has 2"):
        two.restore(load_checkpoint(checkpoint_paths(tmp_path)[-1]))


def test_two_processes_sample_in_proportion_to_the_reward() -> None:
    def learned(world: World) -> GFlowNet:
        training = sampler(world, batch_size=64, iterations=300)
        take_all_steps(training)
        return training.model

    first, second = in_two_threads(learned)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), atol=0, rtol=0)
    terminal, probability = terminal_distribution(first)
    reward = GridCorners(8)(first.env.objects(terminal)).value
    assert total_variation(probability, reward / reward.sum()) <= 0.03
    assert float(first.log_z.detach()) == pytest.approx(float(reward.sum().log()), abs=0.03)


@pytest.mark.slow
def test_two_processes_train_one_model_and_resume_bit_for_bit(tmp_path: Path) -> None:
    settings = (*SMALL_GRID, "trainer.replay_fraction=0.25", "trainer.replay.keep=recent")
    whole = run_words(tmp_path, torchrun(2, "train_gfn", *settings, "run.dir=whole"))
    assert whole.returncode == 0, whole.stderr
    first = run_words(tmp_path, torchrun(2, "train_gfn", *settings, "run.dir=twice", "trainer.iterations=10"))
    assert first.returncode == 0, first.stderr
    again = ("run.dir=twice", "resume=true", "trainer.iterations=20")
    second = run_words(tmp_path, torchrun(2, "train_gfn", *again))
    assert second.returncode == 0, second.stderr
    for name in ("whole", "twice"):
        assert [record["step"] for record in read_metrics(tmp_path / name / "metrics.jsonl")] == list(
            range(1, 21)
        )
    newest = load_checkpoint(checkpoint_paths(tmp_path / "whole")[-1])
    states = newest.part("random")["generators"]
    assert len(states) == 2 and not torch.equal(states[0], states[1])
    # the buffer holds what both processes met: more than one of them alone could have sampled
    assert int(newest.part("replay")["counters"][1]) > 0
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert summary["trajectories"] == 2 * 20 * 16
    alone = run_words(tmp_path, torchrun(1, "train_gfn", *again))
    assert alone.returncode != 0 and "trained by 2 processes" in alone.stderr


@pytest.mark.slow
def test_two_processes_train_an_energy_and_a_prior(tmp_path: Path) -> None:
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    frame.to_parquet(tmp_path / "known.parquet")
    shared = (f"data={tmp_path}/known.parquet", "threads=1", "quiet=true", "loop.epochs=2")
    small = (*shared, "model.settings.width=16", "model.settings.embedding=8", "model.settings.alignn_layers=1",
             "model.settings.gcn_layers=1", "holdout=0.0")  # fmt: skip
    found = []
    for processes, atoms in ((1, 40), (2, 20)):
        name = f"energy{processes}"
        words = torchrun(processes, "train_energy", *small, f"loop.atoms={atoms}", f"run.dir={name}")
        done = run_words(tmp_path, words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"weights"') == 1
        found.append(read_json(tmp_path / name / "weights.json"))
    assert found[0]["validation_curve"] == pytest.approx(found[1]["validation_curve"], rel=1e-3)
    tiny = (*shared, "env=crystal_89", "policy.forward.n_hidden=16", "policy.forward.n_layers=1", "holdout=0.4",
            "task.limit=null", "task.samples=4", "task.matching=[]", "loop.atoms=4")  # fmt: skip
    done = run_words(tmp_path, torchrun(2, "train_prior", *tiny, "run.dir=prior"))
    assert done.returncode == 0, done.stderr
    card = read_json(tmp_path / "prior" / "weights.json")
    assert card["samples_seen"] == 2 * card["structures"]
