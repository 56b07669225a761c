"""Runs that are killed at random moments, interrupted, or whose newest checkpoint is damaged."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf, open_dict

from gflownet_crystal.common.checkpoint import checkpoint_paths, load_checkpoint
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.config.compose import compose_config
from tests.cli.commands import SMALL_GRID, command, environment, run_command

ITERATIONS = 300
LONG_GRID = (
    *SMALL_GRID,
    f"trainer.iterations={ITERATIONS}",
    "trainer.checkpoint_every=25",
    "trainer.replay_fraction=0.25",
)


def start(folder: Path, *settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("train_gfn", *settings),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def iterations_done(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.is_file() else 0


def wait_for(process: subprocess.Popen[str], run: Path, iterations: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and iterations_done(run) < iterations:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(checkpoint_paths(run)[-1]).tensors


def test_killed_runs_end_as_the_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = run_command(tmp_path, "train_gfn", *LONG_GRID, "run.dir=whole")
    assert undisturbed.returncode == 0, undisturbed.stderr
    moments = random.Random(4)
    run = tmp_path / "killed"
    for share in (0.2, 0.5, 0.8):
        again = ["resume=true"] if run.is_dir() else []
        process = start(tmp_path, *LONG_GRID, "run.dir=killed", *again)
        wait_for(process, run, int(ITERATIONS * share))
        time.sleep(moments.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        # the next start must not begin again
        assert load_checkpoint(checkpoint_paths(run)[-1]).metadata["iteration"] >= 25
    final = run_command(tmp_path, "train_gfn", "run.dir=killed", "resume=true")
    assert final.returncode == 0, final.stderr
    assert [record["step"] for record in read_metrics(run / "metrics.jsonl")] == list(
        range(1, ITERATIONS + 1)
    )
    ends = [last_weights(tmp_path / name) for name in ("whole", "killed")]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    assert (tmp_path / "whole" / "samples.csv").read_bytes() == (run / "samples.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, *LONG_GRID, "trainer.checkpoint_every=1000", "run.dir=stopped")
    wait_for(process, tmp_path / "stopped", 10)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.count("\n") == 1 and "train_gfn run.dir=stopped resume=true" in err
    assert load_checkpoint(checkpoint_paths(tmp_path / "stopped")[-1]).metadata[
        "iteration"
    ] == iterations_done(tmp_path / "stopped")


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    assert run_command(tmp_path, "train_gfn", *SMALL_GRID, "run.dir=run").returncode == 0
    newest = checkpoint_paths(tmp_path / "run")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    result = run_command(tmp_path, "train_gfn", "run.dir=run", "resume=true")
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("warning: ") and result.stderr.count("\n") == 1
    assert "after iteration 15" in result.stdout
    assert [record["step"] for record in read_metrics(tmp_path / "run" / "metrics.jsonl")] == list(
        range(1, 21)
    )


@pytest.mark.parametrize(
    "given",
    [
        ["seed=1"],
        ["trainer.batch_size=8"],
        ["env=box"],
        ["policy.forward.n_hidden=8"],
        ["reward=boltzmann"],
        ["proxy._target_=gflownet_crystal.proxies.toy.BoxCorners"],
    ],
)
def test_a_run_goes_on_only_with_its_own_settings(tmp_path: Path, given: list[str], small_run: Path) -> None:
    result = run_command(tmp_path, "train_gfn", f"run.dir={small_run}", "resume=true", *given)
    assert result.returncode == 2
    assert "differs from the run being resumed" in result.stderr and result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    assert run_command(folder, "train_gfn", *SMALL_GRID, "run.dir=run").returncode == 0
    return folder / "run"


@pytest.mark.parametrize("settings", [[], ["run.dir=none"], ["run.dir=empty"]])
def test_there_must_be_something_to_go_on_with(tmp_path: Path, settings: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    result = run_command(tmp_path, "train_gfn", *SMALL_GRID, *settings, "resume=true")
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "holds nothing to go on with" in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


@pytest.mark.parametrize("damage", ["missing", "shorter", "a line", "no record"])
@pytest.mark.parametrize("iterations", [20, 30], ids=["finished", "going on"])
def test_damaged_metrics_are_told_before_any_step(
    tmp_path: Path, small_run: Path, damage: str, iterations: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    path = run / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if damage == "missing":
        path.unlink()
    elif damage == "shorter":
        path.write_bytes(b"".join(lines[:-1]))
    else:
        lines[6] = (b"#" if damage == "a line" else b"1") * (len(lines[6]) - 1) + b"\n"
        path.write_bytes(b"".join(lines))
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    given = ("run.dir=run", "resume=true", f"trainer.iterations={iterations}")
    result = run_command(tmp_path, "train_gfn", *given)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert "metrics.jsonl" in result.stderr and ("line 7" in result.stderr or "line" not in damage)
    assert before == {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    # the way out that the line names
    path.write_bytes(b"")
    result = run_command(tmp_path, "train_gfn", *given)
    assert result.returncode == 0, result.stderr
    assert [record["step"] for record in read_metrics(path)] == list(range(21, iterations + 1))


@pytest.mark.parametrize(
    ("verb", "key"),
    [("train_gfn", "trainer.iterations"), ("train_proxy", "training.steps"), ("train_energy", "loop.epochs")],
)
def test_a_stored_configuration_that_does_not_say_how_long_is_no_other_training(
    tmp_path: Path, verb: str, key: str
) -> None:
    stored = compose_config(verb, ["env=hypergrid"] if verb == "train_gfn" else ["data=x.parquet"])
    section, _, name = key.rpartition(".")
    with open_dict(stored):
        del stored[section][name]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(OmegaConf.to_yaml(stored, resolve=True))
    words = ["data=x.parquet"] * (verb != "train_gfn")
    refused = run_command(tmp_path, verb, *words, "run.dir=run", "resume=true")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert f"config.yaml is damaged: it has no {key}" in refused.stderr


def test_a_stored_section_that_is_a_number_is_told(tmp_path: Path) -> None:
    stored = compose_config("train_gfn", ["env=crystal", "proxy=mlp"])
    stored.screening = 1.5
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(OmegaConf.to_yaml(stored, resolve=True))
    refused = run_command(tmp_path, "train_gfn", "run.dir=run", "resume=true")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "screening must be a section" in refused.stderr


def test_saying_the_same_again_is_fine(small_run: Path) -> None:
    result = run_command(small_run.parent, "train_gfn", *SMALL_GRID, "run.dir=run", "resume=true")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("rate", ["trainer.learning_rate=1e20", "trainer.learning_rate=1e4"])
def test_weights_that_diverge_end_the_training_in_a_line(tmp_path: Path, rate: str) -> None:
    ended = run_command(tmp_path, "train_gfn", *SMALL_GRID, "run.dir=run", "quiet=true", rate)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == 1 and "lower trainer.learning_rate" in ended.stderr
