"""The metrics file: what resumes cut and what readers see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.metrics import MetricsFile, read_metrics


def test_what_follows_the_checkpoint_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    first = MetricsFile(path)
    first.write({"step": 1})
    offset = first.settle()
    first.write({"step": 2})
    first.close()
    path.write_bytes(path.read_bytes() + b'{"step": 3, "lo')
    second = MetricsFile(path, offset)
    for step in (2, 3):
        second.write({"step": step})
    second.close()
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3]


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"ste')
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


def test_lines_are_json_whatever_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.write({"step": 1, "loss": float("nan"), "log_z": float("inf"), "rate": 0.5})
    file.close()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "step": 1,
        "loss": None,
        "log_z": None,
        "rate": 0.5,
    }


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"metrics\.jsonl"):
        MetricsFile(tmp_path / "file" / "metrics.jsonl")
