"""A conditional run by the verbs: trained, resumed, sampled at values and over ranges, evaluated, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import gflownet_crystal as gfc
from gflownet_crystal.cli.main import main

TINY = (
    "env=hypergrid", "env.length=4", "trainer.batch_size=8", "policy=mlp", "policy.forward.n_hidden=8",
    "policy.backward.n_hidden=8", "samples.n=40", "threads=1", "quiet=true", "reward=boltzmann",
)  # fmt: skip
WITH = ("condition.beta=[-3,-0.5]",)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conditions") / "run"
    replay = ["trainer.replay_fraction=0.5", "trainer.replay.keep=recent", "trainer.replay.draw=uniform"]
    assert main(["train_gfn", *TINY, *WITH, *replay, "trainer.iterations=4", f"run.dir={folder}"]) == 0
    return folder


def test_samples_of_a_training_have_conditions_of_their_own_and_rewards_under_them(run: Path) -> None:
    frame = pd.read_parquet(run / "samples.parquet")
    beta = frame["condition_beta"]
    assert beta.between(-3.0, -0.5).all() and beta.nunique() > 20
    assert frame["log_reward"].to_numpy() == pytest.approx((-beta * frame["energy"]).to_numpy())
    assert json.loads((run / "summary.json").read_text())["log_z"] is None


def test_a_training_goes_on_with_its_conditions_and_with_no_others(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train_gfn", *TINY, "trainer.iterations=6", f"run.dir={run}", "resume=true"]
    assert main([*words, *WITH]) == 0
    assert main([*words, "condition.beta=[-4,-0.5]"]) == 2
    assert "condition.beta differs from the run being resumed" in capsys.readouterr().err


def test_sampling_at_a_value_scores_by_it(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "at.csv"
    assert main(["sample", f"run={run}", "n=30", "condition.beta=-2", f"out={out}", "quiet=true"]) == 0
    frame = pd.read_csv(out)
    assert (frame["condition_beta"] == -2.0).all()
    assert frame["log_reward"].to_numpy() == pytest.approx((2.0 * frame["energy"]).to_numpy())
    again = gfc.load(run).sample(30, condition={"beta": -2.0}, quiet=True)
    assert again.to_frame()["x0"].tolist() == frame["x0"].tolist()


def test_one_distribution_of_the_run_is_evaluated(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", f"run={run}", "sampler.n=50", "sampler.objects=4", "sampler.trajectories=4"]
    words.append("sampler.exact=true")
    assert main([*words, "condition.beta=-2", f"out={tmp_path}/held"]) == 0
    assert "exact" in json.loads((tmp_path / "held" / "metrics.json").read_text())
    capsys.readouterr()
    assert main([*words, f"out={tmp_path}/free"]) == 2
    assert "condition.beta=VALUE from -3 to -0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["condition.beta=-9"], "from -3 to -0.5"),
        (["condition.bta=-1"], "did you mean beta"),
        (["condition.beta=[-2,-1]"], "must be a number"),
        (["condition=3"], "section"),
    ],
)
def test_values_that_were_not_trained_are_refused(
    words: list[str], told: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", f"run={run}", "n=3", *words, f"out={tmp_path}/x.csv"]) == 2
    line = capsys.readouterr().err.strip()
    assert told in line and "\n" not in line and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["condition.bta=[-3,-0.5]"], "did you mean beta"),
        (["condition.beta=3"], "must be a range"),
        ([*WITH, "reward=log_value"], "choose one of none"),
        ([*WITH, "trainer.replay_fraction=0.5"], "trainer.replay.keep=recent"),
        ([*WITH, "objective=forward_looking"], "condition.beta"),
    ],
)
def test_trainings_that_cannot_be_conditioned_say_so(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train_gfn", *TINY, "trainer.iterations=2", *words, f"run.dir={tmp_path}/r"]) == 2
    line = capsys.readouterr().err.strip()
    assert told in line and "\n" not in line and not list(tmp_path.glob("r/*"))


def test_a_run_without_conditions_takes_no_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train_gfn", *TINY, "trainer.iterations=2", f"run.dir={tmp_path}/r"]) == 0
    assert "condition_beta" not in pd.read_parquet(tmp_path / "r" / "samples.parquet").columns
    capsys.readouterr()
    assert main(["sample", f"run={tmp_path}/r", "condition.beta=-1", f"out={tmp_path}/x.csv"]) == 2
    assert "trained without conditions" in capsys.readouterr().err
