"""Commands as a user gives them: in this process where that tells the same, else in one of their own."""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from gflownet_crystal.cli.main import main

REPOSITORY = Path(__file__).parents[2]

SMALL_GRID = (
    "env=hypergrid",
    "env.length=6",
    "trainer.iterations=20",
    "trainer.batch_size=16",
    "trainer.checkpoint_every=5",
    "policy=mlp",
    "policy.forward.n_hidden=16",
    "policy.backward.n_hidden=16",
    "samples.n=200",
    "threads=1",
)


def command(verb: str, *settings: str) -> list[str]:
    """The words of a command."""
    return [sys.executable, "-m", "gflownet_crystal", verb, *settings]


def torchrun(n_processes: int, verb: str, *settings: str) -> list[str]:
    """The words of a command in several processes."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={n_processes}",
    ]
    return [*launcher, "-m", "gflownet_crystal", verb, *settings]


def environment() -> dict[str, str]:
    """Environment variables under which this checkout is found."""
    return os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


@dataclass(frozen=True)
class Result:
    """Texts that a finished command wrote to its streams."""

    returncode: int
    stdout: str
    stderr: str


def run_command(folder: Path, verb: str, *settings: str) -> Result:
    """Run a verb in a folder, in this process; a traceback is a failure of the test."""
    return _captured(folder, lambda: main([verb, *settings]))


def run_script(folder: Path, path: Path, *words: str) -> Result:
    """Run a Python file as a program in a folder, in this process, which has PyTorch loaded already."""

    def program() -> int:
        given, sys.argv = sys.argv, [str(path), *words]
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            sys.argv = given
        return 0

    return _captured(folder, program)


def _captured(folder: Path, program: Callable[[], int]) -> Result:
    out, err = io.StringIO(), io.StringIO()
    here, path, threads = os.getcwd(), list(sys.path), torch.get_num_threads()
    os.chdir(folder)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = program()
    finally:
        os.chdir(here)
        sys.path[:] = path
        torch.set_num_threads(threads)
    return Result(status, out.getvalue(), err.getvalue())


def run_words(folder: Path, words: Sequence[str]) -> Result:
    """Run any command in a folder, in a process of its own, and wait for it."""
    done = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)
