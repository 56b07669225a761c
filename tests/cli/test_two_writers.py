"""Two processes in one folder: the second is refused in a line, and nothing of the first is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from gflownet_crystal.common.locks import LOCK, lock_folder
from tests.cli.commands import SMALL_GRID, command, environment, run_command
from tests.data.crystals import stored_frame
from tests.report.runs import write_run

LONG = (*SMALL_GRID, "trainer.iterations=100000", "run.dir=run", "quiet=true")


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def test_a_second_training_in_the_folder_of_a_running_one_is_refused(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("train_gfn", *LONG), cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        checkpoints = tmp_path / "run" / "checkpoints"
        wait_for(checkpoints, process)
        for words in (LONG, (*LONG, "resume=true")):
            second = run_command(tmp_path, "train_gfn", *words)
            assert second.returncode == 2 and second.stderr.count("\n") == 1, second.stderr
            assert f"run is in use by process {process.pid} on " in second.stderr
        process.send_signal(signal.SIGKILL)
        process.communicate()
        steps = max(path.name for path in checkpoints.iterdir() if not path.name.startswith("."))
        # a lock of a process that is gone is none
        assert (tmp_path / "run" / LOCK).exists()
        n = int(steps.removeprefix("step_").removesuffix(".safetensors")) + 5
        more = run_command(tmp_path, "train_gfn", "run.dir=run", "resume=true", f"trainer.iterations={n}")
        assert more.returncode == 0, more.stderr
        assert not (tmp_path / "run" / LOCK).exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    frame.to_parquet(folder / "known.parquet")
    write_run(folder / "done", candidates=False)
    return folder


@pytest.mark.parametrize(
    ("verb", "settings"),
    [
        ("train_gfn", (*SMALL_GRID, "run.dir=out")),
        ("train_proxy", ("data=known.parquet", "run.dir=out", "out=p.safetensors")),
        ("train_energy", ("data=known.parquet", "run.dir=out")),
        ("train_generator", ("data=known.parquet", "run.dir=out")),
        ("train_denoiser", ("data=known.parquet", "run.dir=out")),
        ("generate", ("specs=known.parquet", "out=out", "generator=quick")),
        ("relax", ("structures=known.parquet", "out=out", "model=alignn")),
        ("evaluate", ("structures=known.parquet", "out=out", "metrics=[space_groups]", "cache=null")),
        ("export", ("run=done", "out=out", "generator=quick")),
    ],
)
def test_every_verb_that_fills_a_folder_refuses_one_in_use(
    inputs: Path, verb: str, settings: tuple[str, ...]
) -> None:
    with lock_folder(inputs / "out"):
        result = run_command(inputs, verb, *settings)
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stdout + result.stderr
        assert f"out is in use by process {os.getpid()} on " in result.stderr
        assert [path.name for path in (inputs / "out").iterdir()] == [LOCK]
    assert not (inputs / "out").exists()
