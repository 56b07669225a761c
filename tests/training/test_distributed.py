"""Two processes against one: the same start, averaged gradients, one run folder, exact resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gflownet_crystal.common.checkpoint import checkpoint_paths, load_checkpoint
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.training.distributed import World, join_world
from tests.cli.commands import SMALL_GRID, run_words, torchrun


def test_without_torchrun_the_world_is_one_process() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    with join_world() as world:
        assert world == World() and world.is_main
        assert world.mean(values) is values and world.gather(values) is values
        assert world.any(True, values.device) and not world.any(False, values.device)


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
