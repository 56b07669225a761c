"""The examples, run as their README says, smaller where they can be told so."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import gflownet_crystal
from tests.cli.commands import REPOSITORY, run_script

EXAMPLES = REPOSITORY / "examples"
SMALLER: dict[str, tuple[str, ...]] = {
    "sample_space_groups": ("threads=1",),
    "place_atoms": ("threads=1",),
    "relax_structures": ("steps=3", "threads=1"),
    "any_calculator": ("steps=3", "threads=1"),
    "compare_with_known": (),
    "prepare_own_data": (),
}
"""Settings that make the examples which call verbs take seconds."""

TRAINING = ("trainer.iterations=2", "trainer.batch_size=32", "samples.n=60", "export.k=0", "threads=1")
JUDGING = (
    "k=1",
    "relax=1",
    "n=60",
    "tries=1",
    "relaxation.steps=2",
    "threads=1",
    "screening.most_placed=4",
    "screening.within=null",
)

OF_THE_API: dict[str, tuple[str, ...]] = {
    "draw_crystals": (),
    "own_reward": ("2",),
    "place_and_relax": (),
}
OTHERS = {"train_sampler", "judged_candidates", "public_data"}
"""The first two have a test of their own; the third needs a network, and its verbs are tested without one."""


def test_every_example_is_in_the_list_and_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    listed = set(re.findall(r"^\| \[`(\w+)\.py`\]", (EXAMPLES / "README.md").read_text(), flags=re.MULTILINE))
    assert names == listed == {*SMALLER, *OF_THE_API, *OTHERS}
    lengths = {path.stem: path.read_text().count("\n") for path in EXAMPLES.glob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


def run_example(folder: Path, name: str, words: tuple[str, ...]) -> None:
    """Run an example in a folder, where it leaves something, and see that it ends well."""
    done = run_script(folder, EXAMPLES / f"{name}.py", *words)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) or done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run that an example leaves and another one takes up."""
    folder = tmp_path_factory.mktemp("trained")
    run_example(folder, "train_sampler", TRAINING)
    return folder


def test_examples_of_a_training_and_of_its_candidates_run_one_after_the_other(trained: Path) -> None:
    assert len(pd.read_csv(trained / "runs" / "example" / "samples.csv")) == 60
    run_example(trained, "judged_candidates", JUDGING)
    assert (trained / "best" / "summary.json").is_file()


@pytest.mark.parametrize("name", SMALLER)
def test_an_example_of_verbs_runs_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    run_example(tmp_path, name, SMALLER[name])


@pytest.mark.skipif(not hasattr(gflownet_crystal, "load"), reason="there is no Python API yet")
@pytest.mark.parametrize("name", OF_THE_API)
def test_an_example_of_the_python_api_runs_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    run_example(tmp_path, name, OF_THE_API[name])
