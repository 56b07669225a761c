"""A full disk, no memory, a closed output, a folder that is gone: one line, status 2, the last checkpoint intact."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gflownet_crystal.cli import train_gfn
from gflownet_crystal.cli.main import main
from gflownet_crystal.common import files
from tests.cli.commands import SMALL_GRID, command, environment, run_command


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def limited(folder: Path, words: list[str], kind: int, limit: int) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own under a limit of the operating system."""
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False,
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failures")
    assert run_command(folder, "train_gfn", *SMALL_GRID, "run.dir=run", "quiet=true").returncode == 0
    return folder


def test_a_file_that_cannot_grow_stops_a_training_in_a_line_and_costs_nothing(trained: Path) -> None:
    checkpoints = contents(trained / "run" / "checkpoints")
    smallest = min(map(len, checkpoints.values()))
    more = command("train_gfn", "run.dir=run", "resume=true", "trainer.iterations=40", "quiet=true")
    # long enough for the metrics, too short for a checkpoint
    result = limited(trained, more, resource.RLIMIT_FSIZE, smallest - 1000)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: cannot write") and "step_" in result.stderr
    assert contents(trained / "run" / "checkpoints") == checkpoints
    result = limited(trained, more, resource.RLIMIT_FSIZE, 1_000)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert contents(trained / "run" / "checkpoints") == checkpoints
    assert run_command(trained, *more[3:]).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_standard_output_is_one_line(trained: Path) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            command("sample", "run=run", "n=10", "out=full.csv"), cwd=trained, env=environment(), stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "the disk is full" in result.stderr or "No space left" in result.stderr


def test_a_full_disk_while_a_table_is_written_leaves_no_half(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_flush", full)
    result = run_command(trained, "sample", "run=run", "n=10", "out=table/s.csv")
    assert result.returncode == 2 and "No space left" in result.stderr and "s.csv" in result.stderr
    assert list((trained / "table").iterdir()) == []


def out_of_memory() -> Any:
    # a size that no machine has
    return torch.empty(2**60, dtype=torch.float64)


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (out_of_memory, "out of memory"),
        (lambda: torch.empty(2**62, 2**3), "out of memory"),
        (lambda: np.empty(2**57), "out of memory"),
        (lambda: bytearray(2**62), "out of memory"),
        (MemoryError, "out of memory"),
        (
            lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.\nGPU 0 has"),
            "the GPU is out",
        ),
        (lambda: RuntimeError("can't start new thread"), "threads"),
        (lambda: OSError(28, "No space left on device"), "the disk is full"),
        (lambda: OSError(24, "Too many open files", "x.txt"), "x.txt: Too many open files"),
    ],
)
def test_failures_of_the_machine_are_one_line(
    fails: Callable[[], Any], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: Any) -> None:
        raise fails()

    monkeypatch.setattr(train_gfn, "run", run)
    assert main(["train_gfn"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and told in error, error


def test_faults_of_the_program_are_not_taken_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: Any) -> None:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(train_gfn, "run", run)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        main(["train_gfn"])


def test_a_batch_that_no_memory_holds_keeps_the_checkpoint(trained: Path) -> None:
    before = contents(trained / "run")
    words = command("train_gfn", *SMALL_GRID, "trainer.batch_size=3000000000", "run.dir=large", "quiet=true")
    result = limited(trained, words, resource.RLIMIT_AS, 6 * 2**30)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert "out of memory" in result.stderr
    assert contents(trained / "run") == before


@pytest.mark.parametrize(
    "setting",
    ["threads=1000000", f"seed={10**20}", f"samples.seed={2**32}", f"samples.n={10**20}", f"env.length={10**20}",
     f"trainer.batch_size={10**20}", "seed=" + "9" * 5000, f"trainer.iterations={10**400}"],
)  # fmt: skip
def test_numbers_that_nothing_can_take_are_refused(tmp_path: Path, setting: str) -> None:
    result = run_command(tmp_path, "train_gfn", *SMALL_GRID, setting)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert setting.partition("=")[0] in result.stderr and len(result.stderr) < 400
    assert list(tmp_path.iterdir()) == []


def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = (
        f"import os; os.rmdir({str(gone)!r}); from gflownet_crystal.cli.main import main; "
        "raise SystemExit(main(['train_gfn', 'env=hypergrid']))"
    )
    words = [sys.executable, "-c", program]
    result = subprocess.run(words, cwd=gone, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert "working directory is gone" in result.stderr


def test_a_reader_that_leaves_during_a_training_ends_it_quietly_and_resumably(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = command("train_gfn", *SMALL_GRID, "run.dir=run")
    result = subprocess.run(
        words, cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, "")
    more = run_command(tmp_path, "train_gfn", "run.dir=run", "resume=true", "quiet=true")
    assert more.returncode == 0, more.stderr
    whole = run_command(tmp_path, "train_gfn", *SMALL_GRID, "run.dir=whole", "quiet=true")
    assert whole.returncode == 0
    made, expected = ((tmp_path / name / "samples.csv").read_bytes() for name in ("run", "whole"))
    assert made == expected


def test_a_closed_standard_output_is_no_error(trained: Path) -> None:
    line = " ".join([*command("sample", "run=run", "n=10", "out=closed.csv"), ">&-"])
    result = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=trained,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert (trained / "closed.csv").is_file()
