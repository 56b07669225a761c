"""Folders that a long verb fills: a failure that made nothing takes no name, one that made something can go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.workflows.output_folder import open_output

CHOSEN = {"seed": 0}


def fail(folder: Path, made: str | None, error: BaseException, resume: bool = False) -> None:
    def work() -> None:
        with open_output(folder, CHOSEN, resume):
            if made is not None:
                (folder / made).write_text("")
            raise error

    with pytest.raises(type(error)):
        work()


@pytest.mark.parametrize("made", [None, ".half-written"])
def test_a_failure_that_made_nothing_leaves_the_name_free(tmp_path: Path, made: str | None):
    out = tmp_path / "out"
    fail(out, made, DataError("none"))
    with open_output(out, {"seed": 1}, resume=False):
        (out / "table.csv").write_text("")
    assert (out / "settings.json").is_file()


def test_a_failure_after_a_result_keeps_it_with_its_settings(tmp_path: Path):
    out = tmp_path / "out"
    fail(out, "part", DataError("the second part"))
    fail(out, None, DataError("again"), resume=True)
    assert {path.name for path in out.iterdir() if path.name[0] != "."} == {"part", "settings.json"}
    with pytest.raises(ConfigError, match="resume=true"), open_output(out, CHOSEN, resume=False):
        raise AssertionError
    with pytest.raises(ConfigError, match="seed differs"), open_output(out, {"seed": 1}, resume=True):
        raise AssertionError


def test_an_interrupt_can_be_gone_on_from_at_once(tmp_path: Path):
    fail(tmp_path / "out", None, KeyboardInterrupt())
    with open_output(tmp_path / "out", CHOSEN, resume=True):
        assert (tmp_path / "out" / "settings.json").is_file()
