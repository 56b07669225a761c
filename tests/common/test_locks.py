"""One process a folder: a second one is refused while the first lives, and no longer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.locks import LOCK, lock_folder
from tests.cli.commands import environment

HOLD = """
import sys
from pathlib import Path
from gflownet_crystal.common.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    words = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_folder_that_another_process_holds_is_refused_with_its_name_and_holder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as process:
        with pytest.raises(ConfigError) as refused, lock_folder(folder):
            pass
        assert str(folder) in str(refused.value)
        assert f"process {process.pid} on {socket.gethostname()}" in str(refused.value)
        assert (folder / LOCK).is_file()
        process.communicate("")
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_holds_nothing(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    with holder(folder) as process:
        process.send_signal(number)
        process.wait()
        assert (folder / LOCK).is_file()
        with lock_folder(folder):
            assert (folder / LOCK).read_text().split()[0] == str(os.getpid())
    assert not (folder / LOCK).exists()


def test_only_one_of_many_processes_holds_a_folder_at_a_time(tmp_path: Path) -> None:
    # each counts up a number in a file with a gap between reading and writing, as often as it gets the folder
    count = """
import sys
from pathlib import Path
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.locks import lock_folder
folder, done = Path(sys.argv[1]), 0
while done < 200:
    try:
        with lock_folder(folder):
            path = folder / "number"
            text = path.read_text()
            path.write_text(str(int(text) + 1))
        done += 1
    except ConfigError:
        pass
"""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "number").write_text("0")
    words = [sys.executable, "-c", count, str(folder)]
    processes = [subprocess.Popen(words, env=environment()) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert (folder / "number").read_text() == "600"


def test_folders_that_got_nothing_are_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lock_folder(tmp_path / "a" / "b"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with lock_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["result"]


@pytest.mark.parametrize("name", ["out.csv", "out.PARQUET", "x/weights.safetensors"])
def test_names_of_files_are_no_folders(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="named like a file"), lock_folder(tmp_path / name):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder_and_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"), lock_folder(tmp_path / "file"):
        pass
    with pytest.raises(DataError, match="file/run"), lock_folder(tmp_path / "file" / "run"):
        pass
