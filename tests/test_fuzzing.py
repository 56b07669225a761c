"""The fuzzer sees each kind of fault that is planted, and damages what it is given the same way every time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.fuzzing.cases import Case
from benchmarks.fuzzing.crystals import impossible
from benchmarks.fuzzing.execution import Limits, Runner
from benchmarks.fuzzing.outcomes import Outcome
from benchmarks.fuzzing.verdicts import Observed, faults, signature
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.programs import FAILED
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch

LIMITS = Limits(processor=0.5, wall=5.0)


def crystal(edge: float = 4.0, numbers: Sequence[int] = (11, 17), second: float = 0.5) -> StructureBatch:
    points = np.array([[0.0, 0.0, 0.0], [second] * 3])
    return from_arrays(np.diag([edge] * 3)[None], [np.array(numbers)], [points])


@pytest.fixture
def outcomes(tmp_path: Path) -> Callable[..., list[Outcome]]:
    """Words of the fuzzer on commands, or of readers, that do as they are planted."""

    def run(command: Callable[[Sequence[str]], int], n: int = 1, read: Callable | None = None):
        def make(rng: random.Random, valid: Path, here: Path) -> Case:
            (here / "in" / "file").write_text("given")
            return Case(("verb", "key=value"), read=read)

        runner = Runner(make, "planted", 0, tmp_path / "valid", tmp_path, None, LIMITS, command)
        return list(runner.run(range(n)))

    return run


def categories(outcome: Outcome) -> list[str]:
    return [category for category, _ in outcome.faults]


def refuse(words: Sequence[str]) -> int:
    sys.stderr.write("error: no file\n")
    return FAILED


def write_output(words: Sequence[str]) -> int:
    Path("out").mkdir()
    Path("out/made").write_text("new")
    return 0


@pytest.mark.parametrize("command", [refuse, write_output, lambda words: 0])
def test_what_ends_well_has_no_fault(outcomes, command):
    (outcome,) = outcomes(command)
    assert outcome.faults == () and outcome.words == ("verb", "key=value")


def fail(words: Sequence[str]) -> int:
    raise KeyError("lost")


class Panic(BaseException):
    """As of Rust code."""


def panic(words: Sequence[str]) -> int:
    raise Panic("index out of bounds")


def print_traceback(words: Sequence[str]) -> int:
    sys.stderr.write("Traceback (most recent call last):\n  ...\nValueError: x\n")
    return FAILED


def die(words: Sequence[str]) -> int:
    os.abort()


@pytest.mark.parametrize("command", [fail, panic, print_traceback, die])
def test_tracebacks(outcomes, command):
    (outcome,) = outcomes(command)
    assert categories(outcome) == ["traceback"]


def spin(words: Sequence[str]) -> int:
    while True:
        pass


def wait(words: Sequence[str]) -> int:
    time.sleep(60)
    return 0


@pytest.mark.parametrize("command", [spin, wait])
def test_hangs_are_ended(outcomes, command):
    began = time.monotonic()
    (outcome,) = outcomes(command)
    assert categories(outcome) == ["hang"] and outcome.words == ("verb", "key=value")
    assert time.monotonic() - began < 30.0


def test_cases_after_one_that_hangs_or_dies_are_run(outcomes, tmp_path):
    def command(words: Sequence[str]) -> int:
        number = int(Path.cwd().name.rpartition("-")[2])
        return {1: spin, 3: die}.get(number, lambda _: 0)(words)

    found = {outcome.number: categories(outcome) for outcome in outcomes(command, n=5)}
    assert found == {0: [], 1: ["hang"], 2: [], 3: ["traceback"], 4: []}


def write_beside(words: Sequence[str]) -> int:
    Path("stray").write_text("x")
    return 0


def write_above(words: Sequence[str]) -> int:
    Path("../stray").write_text("x")
    return 0


def change_input(words: Sequence[str]) -> int:
    Path("in/file").write_text("other")
    return 0


def remove_input(words: Sequence[str]) -> int:
    Path("in/file").unlink()
    return 0


def write_from_elsewhere(words: Sequence[str]) -> int:
    # without an audit event of this process
    subprocess.run(["touch", "stray"], check=True)
    return 0


@pytest.mark.parametrize("command", [write_beside, write_above, change_input, remove_input])
def test_files_outside_the_output(outcomes, command):
    (outcome,) = outcomes(command)
    assert categories(outcome) == ["outside"]


def test_files_of_a_program_that_was_started(outcomes):
    (outcome,) = outcomes(write_from_elsewhere)
    assert sorted(categories(outcome)) == ["outside", "process"]


def test_temporary_files_are_none_outside(outcomes):
    def command(words: Sequence[str]) -> int:
        Path("../passing").write_text("x")
        Path("../passing").unlink()
        return 0

    assert outcomes(command)[0].faults == ()


@pytest.mark.parametrize(
    ("status", "text", "category"),
    [
        (1, "", "status"),
        (130, "interrupted: x\n", "status"),
        (2, "", "lines"),
        (2, "error: a\nerror: b\n", "lines"),
        (2, "error: a\nmore of it\n", "lines"),
        (2, f"error: {'x' * 9000}\n", "lines"),
        (0, "error: a\n", "lines"),
        (0, "file.py:3: UserWarning: b\n  line of code\n", "lines"),
    ],
)
def test_other_ends(status, text, category):
    assert [found for found, _ in faults(Observed(status, text))] == [category]


@pytest.mark.parametrize("text", ["warning: a\n", "", "generating:  50%|####      | 1/2\n"])
def test_notices_are_no_fault(text):
    assert list(faults(Observed(0, text))) == []


@pytest.mark.parametrize(
    "read",
    [
        crystal(second=0.05),
        crystal(edge=0.4),
        crystal(numbers=(11, 119)),
        crystal(numbers=(11, 0)),
        crystal(second=float("nan")),
        crystal(edge=0.0),
        crystal(edge=float("inf")),
    ],
    ids=["close", "short", "119", "0", "nan", "no volume", "infinite"],
)
def test_impossible_crystals_that_a_reader_accepts(outcomes, read):
    (outcome,) = outcomes(lambda words: 0, read=lambda: read)
    assert categories(outcome) == ["impossible"]


def test_crystals_that_can_be(outcomes):
    assert outcomes(lambda words: 0, read=crystal)[0].faults == ()
    # what is judged by its distances may have short ones
    assert impossible(crystal(second=0.05), close_atoms=True) == []


def refused_by_reader() -> None:
    raise DataError("no crystal")


def test_a_reader_may_refuse(outcomes):
    (outcome,) = outcomes(lambda words: 0, read=refused_by_reader)
    assert (outcome.status, outcome.faults) == (FAILED, ())


SPEC = {"space_group": 225, "formula": "Na4 Cl4", "a": 5.6, "b": 5.6, "c": 5.6, "alpha": 90.0, "beta": 90.0,
        "gamma": 90.0}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"space_group": 231}, {"space_group": "x"}, {"a": -5.6}, {"b": float("inf")}, {"gamma": 181.0}, {"formula": "Na0"},
     {"formula": "Xx2"}, {"alpha": 20.0, "beta": 20.0, "gamma": 170.0}],
)  # fmt: skip
def test_impossible_specs_in_a_table_that_is_written(outcomes, change):
    def command(words: Sequence[str]) -> int:
        Path("out").mkdir()
        pd.DataFrame([SPEC | change]).to_parquet("out/table.parquet")
        return 0

    (outcome,) = outcomes(command)
    assert categories(outcome) == ["impossible"] and "table.parquet" in outcome.faults[0][1]
    assert impossible(pd.DataFrame([SPEC])) == []


def test_a_program_that_is_started(outcomes):
    def command(words: Sequence[str]) -> int:
        os.system("true")
        return 0

    assert categories(outcomes(command)[0]) == ["process"]


def test_faults_of_the_fuzzer_itself(tmp_path):
    def make(rng: random.Random, valid: Path, here: Path) -> Case:
        raise RuntimeError("no case")

    (outcome,) = Runner(make, "planted", 0, tmp_path, tmp_path, None, LIMITS).run(range(1))
    assert categories(outcome) == ["fuzzer"]


def test_inputs_of_faults_are_kept(tmp_path):
    def make(rng: random.Random, valid: Path, here: Path) -> Case:
        (here / "in" / "file").write_text("given")
        return Case(("verb",))

    runner = Runner(make, "planted", 0, tmp_path, tmp_path, tmp_path / "kept", LIMITS, fail)
    assert len(list(runner.run(range(2)))) == 2
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["planted-0", "planted-1"]
    assert (tmp_path / "kept" / "planted-1" / "in" / "file").read_text() == "given"
    assert not list(tmp_path.glob("planted-*"))


def test_equal_faults_have_one_signature():
    texts = [f"cli/build.py:1{line} ValueError: '/tmp/{line}/x' has {line} rows" for line in ("4", "4")]
    assert len({signature("traceback", text) for text in texts}) == 1
    other = signature("traceback", "cli/build.py:15 ValueError: '/tmp/5/x' has 5 rows")
    assert other != signature("traceback", texts[0])


def test_the_home_directory_lies_in_the_folder_of_the_case(outcomes):
    def write_home(words: Sequence[str]) -> int:
        Path.home().mkdir()
        (Path.home() / "made").write_text("new")
        return 0

    before = os.environ.get("HOME")
    (outcome,) = outcomes(write_home)
    assert categories(outcome) and set(categories(outcome)) == {"outside"}
    assert all("planted-0/home" in detail or detail.startswith("home") for _, detail in outcome.faults)
    assert os.environ.get("HOME") == before
