"""Commands say what is the case, and what they print can be pasted, whatever a folder is called."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from gflownet_crystal.cli.page import best_table
from gflownet_crystal.cli.relax import report
from gflownet_crystal.common.checkpoint import TrainingStopped
from gflownet_crystal.config.compose import parse_setting
from gflownet_crystal.config.run_folder import training_run
from gflownet_crystal.relaxation.records import Record
from tests.cli.commands import SMALL_GRID, run_command

DENSE = """
from gflownet_crystal.proxies.base import Proxy


class Dense(Proxy):
    input_kind, property_name, unit = "grid", "density", "g/cm^3"

    def predict(self, batch):
        return batch.double().sum(dim=1) + 1.0
"""


@pytest.mark.parametrize("name", ["h2[/x]", "a [bold]b", "it's"])
def test_names_with_brackets_blanks_and_quotes_are_printed_as_they_are(tmp_path: Path, name: str) -> None:
    quoted = name.replace("'", "\\'")
    done = run_command(tmp_path, "train_gfn", *SMALL_GRID, f"run.dir='{quoted}'", "quiet=true")
    assert done.returncode == 0, done.stderr
    assert f"summary: {name}/summary.json" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("next: "))
    _, program, verb, *words = shlex.split(line)
    assert (program, verb, words[1]) == ("gflownet-crystal", "sample", "n=10000")
    assert parse_setting(words[0]).value == name
    sampled = run_command(tmp_path, verb, words[0], "n=10", "out=s.csv")
    assert sampled.returncode == 0, sampled.stderr


def test_markup_in_data_is_text() -> None:
    frame = pd.DataFrame({"x0": [1.0], "energy": [0.5], "log_reward": [0.1]})
    table = best_table(frame, "[/bold] title", "name [/x]")
    # rich raises an error on a closing tag that nothing opened
    console = Console(width=120)
    with console.capture() as page:
        console.print(table)
    assert "[/bold] title" in page.get() and "name [/x]" in page.get()


def test_the_median_is_said_of_the_property(tmp_path: Path) -> None:
    (tmp_path / "dense_proxy.py").write_text(DENSE)
    words = ("proxy._target_=dense_proxy.Dense", "run.dir=run", "quiet=true")
    assert run_command(tmp_path, "train_gfn", *SMALL_GRID, *words).returncode == 0
    said = run_command(tmp_path, "sample", "run=run", "n=10", "out=s.csv", "trust=true").stdout
    median = pd.read_csv(tmp_path / "s.csv")["energy"].median()
    assert f"median density (g/cm^3) {median:.4g}" in said and "energy" not in said


@pytest.mark.parametrize(
    ("steps", "said", "not_said"), [(0, "steps=0", "more"), (5, "increase steps=", "steps=0")]
)
def test_more_steps_are_advised_only_where_some_were_taken(steps: int, said: str, not_said: str) -> None:
    text = report(
        [Record(0, "a", "Na1 Cl1", "not_converged", "", steps, 1.0, energy_after=-1.0)], Path("out"), steps
    )
    assert said in text and not_said not in text


@pytest.mark.parametrize(
    ("target", "ends"), [("mine.Proxy", "trust=true"), ("gflownet_crystal.x.Y", "resume=true")]
)
def test_a_stopped_training_says_the_whole_command_to_go_on(target: str, ends: str) -> None:
    config = OmegaConf.create({"proxy": {"_target_": target}, "record": {"command": []}, "quiet": True})
    run = training_run(Path("a b"), "train_gfn", config)
    with pytest.raises(TrainingStopped) as stopped, run.stoppable():
        raise TrainingStopped("stopped")
    command = shlex.split(str(stopped.value).partition("go on with: ")[2])
    assert command[:2] == ["gflownet-crystal", "train_gfn"] and command[-1] == ends
    assert parse_setting(command[2]).value == "a b"
