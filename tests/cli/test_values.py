"""Checks of single settings: a path is one path, in every verb that has one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmarks.fuzzing.folders import _absolute
from benchmarks.fuzzing.material import make_valid
from benchmarks.fuzzing.overrides import COMMANDS
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import path_setting, paths_setting
from tests.cli.test_errors import refused

NO_PATHS = ("{a:1}", "[a,b]", "[]", "true", "''", "[[a]]")
PATHS = {
    "crystal": ("run.dir", "dataset.path"),
    "proxy": ("run.dir", "out", "data", "test"),
    "energy": ("run.dir", "out", "start", "data", "test"),
    "denoiser": ("run.dir", "out", "start", "data", "test"),
    "generator": ("run.dir", "out", "data"),
    "generate": ("out", "specs"),
    "relax": ("out", "structures"),
    "evaluate": ("out", "structures", "reference", "targets", "cache", "hull"),
    "export": ("out", "run", "samples", "hull"),
    "pipeline": ("out", "run", "hull"),
    "prepare_data": ("out", "source", "hull"),
    "evaluate_proxy": ("data",),
    "sample": ("out", "run"),
    "report": ("out", "run", "reference", "samples", "candidates", "relaxed"),
}
"""Settings of small commands that are paths; ``data``, ``test`` and ``source`` may be lists of them."""
LISTS = ("data", "test", "source")
# what these settings take part in has to be asked for
NEEDED = {"dataset.path": "trainer.dataset_fraction=0.5", "hull": "metrics=[stability]"}


@pytest.mark.parametrize(
    ("given", "text"), [("a/b", "a/b"), (2024, "2024"), (1.5, "1.5"), ("{a:1}", "{a:1}")]
)
def test_a_path_is_a_text_or_a_number(given: object, text: str) -> None:
    assert path_setting(given, "out") == Path(text)
    assert paths_setting(given, "data") == (Path(text),)
    assert paths_setting([given, "c"], "data") == (Path(text), Path("c"))


@pytest.mark.parametrize("given", [{"a": 1}, ["a"], [], True, None, "", "a\0b"])
def test_anything_else_is_none(given: object) -> None:
    value = OmegaConf.create(given) if isinstance(given, dict | list) else given
    with pytest.raises(ConfigError, match=r"^run\.dir must be one path"):
        path_setting(value, "run.dir")


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("valid")
    make_valid(folder)
    before = os.getcwd()
    yield folder
    os.chdir(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PATHS))
def test_no_verb_takes_a_mapping_or_a_list_for_a_path(name: str, valid: Path, tmp_path: Path) -> None:
    verb, *given = COMMANDS[name]
    words = [_absolute(word, valid).replace("source=", f"source={valid}/") for word in given]
    for key in PATHS[name]:
        more = [NEEDED[key]] if name in ("crystal", "evaluate") and key in NEEDED else []
        more += ["judge=alignn", f"reference={valid}/crystals.parquet"] if more and key == "hull" else []
        for value in (value for value in NO_PATHS if key not in LISTS or value != "[a,b]"):
            said = refused(tmp_path, verb, *words, *more, f"{key}={value}")
            assert f"{key} must be " in said and "path" in said, (key, value, said)
            assert [path.name for path in tmp_path.iterdir()] == [], (key, value)
