"""The benchmark of executors in short: placements whose process is killed are those of this process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import executors
from tests.data.crystals import stored_frame


def test_killed_placements_are_those_of_this_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_frame().to_parquet(tmp_path / "few.parquet")
    words = ("executors=local", "units=20", "placements=8", "relaxations=0", "kills=1")
    executors.main([f"data={tmp_path / 'few.parquet'}", *words])
    said = capsys.readouterr().out
    assert re.search(r"\| local \| 20 \| 10 ms \| \d+\.\d % \|", said)
    assert re.search(r"\| \d+ placements \| local \| \d+ \| 1 \| [\d.]+ \| 0 \| 0 \|", said)


def test_a_difference_is_found() -> None:
    assert executors.same([1.0], [1.0]) and not executors.same([1.0], [1.0 + 1e-15])
    assert not executors.same(1, 1.0)
