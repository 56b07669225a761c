"""Units in several processes: each done once, deaths cost their unit alone, and stops let the others finish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.common.unit_worker import Job, do_units
from gflownet_crystal.common.units import Lost, open_workers, run_units
from tests.common.units_that_die import FATAL, Squares, die, each, refuse, sums

TWO = LocalProcesses(2)


def test_this_process_does_units_in_order_and_makes_nothing_without_units(tmp_path: Path) -> None:
    squares = Squares(tmp_path)
    assert list(run_units(squares, [], LocalProcesses())) == [] and not squares.makers()
    assert list(run_units(squares, [3, 1, 2], LocalProcesses())) == [(0, 9), (1, 1), (2, 4)]
    assert (tmp_path / f"made-{os.getpid()}").exists() and squares.makers() == 1
    asked = iter([False, True])
    assert list(run_units(squares, [5, 6], LocalProcesses(), lambda: next(asked))) == [(0, 25)]


def test_deaths_cost_their_unit_alone(tmp_path: Path) -> None:
    numbers = [*range(40), FATAL]
    squares = Squares(tmp_path, once=frozenset({7}))
    with open_workers(squares, LocalProcesses(2, retries=1)) as workers:
        found = dict(workers.run(numbers))
        assert found.pop(40) == Lost("its worker died 2 times, perhaps for want of memory")
        assert found == {number: number * number for number in range(40)}
        # once in a group, perhaps, and then twice alone
        assert 2 <= squares.calls(FATAL) <= 3 and workers.deaths == 1 + squares.calls(FATAL)
        # the processes stay for the next units, but for the last that died
        makers = squares.makers()
        assert dict(workers.run([50])) == {0: 2500} and squares.makers() <= makers + 1


def test_a_lost_unit_is_divided_and_its_death_costs_one_part(tmp_path: Path) -> None:
    squares, units = Squares(tmp_path), [[1, 2], [3, FATAL, 4], [5]]
    with open_workers(partial(sums, squares), LocalProcesses(2, retries=1)) as workers:
        found = {tuple(unit): total for unit, total in workers.run_divisible(units, each)}
    assert found.pop((FATAL,)) == Lost("its worker died 2 times, perhaps for want of memory")
    # the whole units are not divided, though one may have shared a group with the lost one
    assert found == {(1, 2): 5, (3,): 9, (4,): 16, (5,): 25}
    with open_workers(partial(sums, squares), LocalProcesses()) as workers:
        assert list(workers.run_divisible([[1, 2], [5]], each)) == [([1, 2], 5), ([5], 25)]


def test_a_stop_lets_running_units_finish(tmp_path: Path) -> None:
    squares = Squares(tmp_path, seconds=0.3)
    found = [place for place, _ in run_units(squares, range(50), TWO, lambda: bool(squares.calls(0)))]
    assert 1 <= len(found) <= 3
    assert sorted(found) == [number for number in range(50) if squares.calls(number)]


def test_errors_are_those_of_the_unit_and_dying_workers_are_told() -> None:
    with pytest.raises(ValueError, match="no such model"):
        list(run_units(refuse, [1, 2], TWO))
    with pytest.raises(DataError, match=r"die before they have finished anything.*give fewer processes$"):
        list(run_units(die, range(20), LocalProcesses(2, retries=0)))


def test_a_worker_of_another_version_refuses(tmp_path: Path) -> None:
    job = Job.of(Squares(tmp_path))
    assert do_units(job.named, b"") is None
    other = Job(job.name, "gflownet_crystal 0.0.1, torch 2.0", job.make)
    with pytest.raises(ConfigError, match=r"has gflownet_crystal .* and this process gflownet_crystal 0.0.1"):
        do_units(other, b"")


PARENT = """
import sys
from pathlib import Path
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.common.units import run_units
from tests.common.units_that_die import Squares

if __name__ == "__main__":
    for _ in run_units(Squares(Path(sys.argv[1]), seconds=0.1), range(10_000), LocalProcesses(2)):
        pass
"""


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program, marks = tmp_path / "parent.py", tmp_path / "marks"
    program.write_text(PARENT)
    marks.mkdir()
    parent = subprocess.Popen([sys.executable, str(program), str(marks)], env=_with_path())
    try:
        _wait_until(lambda: len(list(marks.glob("made-*"))) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    children = [int(mark.name.removeprefix("made-")) for mark in marks.glob("made-*")]
    _wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def _with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def _wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
