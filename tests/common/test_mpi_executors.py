"""Ranks of MPI: the files of one process, an interrupt that lets them finish, and faults of one line."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from gflownet_crystal.cli.main import main
from gflownet_crystal.common import mpi_executors
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.mpi_executors import MpiRanks

RANKS = "import sys; from mpi4py import MPI; MPI.COMM_WORLD.Get_size() == 3 or sys.exit('not started by this MPI')"
# root may start Open MPI, on fewer cores than ranks
ALLOWED = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}

INTERRUPTED = """
import os, sys
from pathlib import Path
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.mpi_executors import MpiRanks
from gflownet_crystal.common.units import run_units
from tests.common.units_that_die import Squares

marks = Path(sys.argv[1])
(marks / "first").write_text(str(os.getpid()))
with stop_on_signal() as should_stop:
    for place, square in run_units(Squares(marks, seconds=0.1), range(10_000), MpiRanks(), should_stop):
        (marks / f"found-{place}").write_text(str(square))
"""


@pytest.fixture(scope="module")
def mpiexec() -> str:
    """The command that starts ranks of the MPI of mpi4py."""
    pytest.importorskip("mpi4py")
    beside = Path(sys.executable).with_name("mpiexec")
    command = str(beside) if beside.exists() else shutil.which("mpiexec")
    if command is None or subprocess.run(started(command, "-c", RANKS), env=environment()).returncode:
        pytest.skip("no mpiexec that starts ranks of the MPI of mpi4py")
    return command


def started(mpiexec: str, *words: str) -> list[str]:
    return [mpiexec, "-n", "3", sys.executable, *words]


def environment() -> dict[str, str]:
    return {**os.environ, **ALLOWED, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_ranks_write_what_this_process_does(mpiexec: str, tmp_path: Path) -> None:
    edges = [5.4, 5.5, 5.6, 5.7, 5.8]
    frame = pd.DataFrame({"space_group": 225, "formula": "Na4 Cl4", **dict.fromkeys("abc", edges)})
    frame = frame.assign(alpha=90.0, beta=90.0, gamma=90.0)
    frame.to_csv(tmp_path / "specs.csv", index=False)
    words = ("generate", f"specs={tmp_path / 'specs.csv'}", "generator=quick", "batch_size=2", "format=null")
    words += ("threads=1", "quiet=true", "device=cpu")
    assert main([*words, f"out={tmp_path / 'one'}"]) == 0
    module = ("-m", "mpi4py.futures", "-m", "gflownet_crystal", *words)
    command = started(mpiexec, *module, "executor=mpi", f"out={tmp_path / 'ranks'}")
    subprocess.run(command, env=environment(), check=True)
    one, ranks = (pd.read_parquet(tmp_path / name / "structures.parquet") for name in ("one", "ranks"))
    pd.testing.assert_frame_equal(ranks, one)
    assert ranks["row"].tolist() == [0, 1, 2, 3, 4]


def test_an_interrupt_lets_ranks_finish_and_ends_them(mpiexec: str, tmp_path: Path) -> None:
    program, marks = tmp_path / "program.py", tmp_path / "marks"
    program.write_text(INTERRUPTED)
    marks.mkdir()
    job = subprocess.Popen(started(mpiexec, "-m", "mpi4py.futures", program, marks), env=environment())
    end = time.monotonic() + 60
    while not list(marks.glob("found-*")):
        assert time.monotonic() < end and job.poll() is None
        time.sleep(0.05)
    # all ranks get it, as from a queueing system
    makers = [int(mark.name.removeprefix("made-")) for mark in marks.glob("made-*")]
    for rank in (*makers, int((marks / "first").read_text())):
        os.kill(rank, signal.SIGTERM)
    assert job.wait(60) == 0
    found = {int(mark.name.split("-")[1]): int(mark.read_text()) for mark in marks.glob("found-*")}
    begun = {int(mark.name.split("-")[1]) for mark in marks.glob("call-*")}
    assert found == {number: number * number for number in begun} and len(begun) < 10_000
    assert len(makers) == 2 or len(found) == 1


@pytest.mark.parametrize(
    ("is_there", "command", "ranks", "words"),
    [
        (False, ["python", "-m", "gflownet_crystal"], 1, r"mpi4py is not installed; .*\[mpi\].*executor=local$"),
        (True, ["python", "-m", "gflownet_crystal"], 3, "executor=mpi finds no ranks that wait for work: start"),
        (True, ["python", "-m", "mpi4py.futures"], 1, "executor=mpi has 1 rank, and needs one for this process"),
    ],
    ids=["no mpi4py", "no waiting ranks", "one rank"],
)  # fmt: skip
def test_faults_are_one_line(
    is_there: bool, command: list[str], ranks: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("json") if is_there else None
    monkeypatch.setattr(mpi_executors, "find_spec", lambda name: spec)
    monkeypatch.setattr(sys, "orig_argv", command)
    monkeypatch.setattr(mpi_executors, "_ranks", lambda: ranks)
    with pytest.raises(ConfigError, match=f"^{words}") as raised:
        MpiRanks()
    assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match="those of executor=mpi are its ranks"):
        MpiRanks(processes=2)
