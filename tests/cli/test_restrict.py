"""Samples of a part of a sampler's space: under tighter masks, and as the whole sampler makes them there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from gflownet_crystal.config.priors import save_prior
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.cli.commands import Result, run_command

TRAINING = (
    "env=crystal", "proxy=mlp", "trainer.batch_size=16", "trainer.checkpoint_every=1", "trainer.iterations=1",
    "samples.n=10", "export.k=0", "threads=1", "quiet=true",
)  # fmt: skip
NEW = (
    "prior=null", "policy.forward.n_hidden=8", "env.space_groups=[225,221,216,139,123]",
    "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]",
)  # fmt: skip
RESTRICTION = (
    "restrict.elements=[Li,O,Mg,Cl]",
    "restrict.space_groups=[225,221,139]",
    "restrict.n_atoms=[2,12]",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("restrict")
    done = run_command(made, "train_gfn", *TRAINING, *NEW, "run.dir=run")
    assert done.returncode == 0, done.stderr
    return made


def sample(folder: Path, out: str, *settings: str) -> Result:
    return run_command(folder, "sample", "run=run", f"out={out}", "batch_size=512", "threads=1", *settings)


def samples(folder: Path, out: str, *settings: str) -> tuple[pd.DataFrame, str]:
    done = sample(folder, out, *settings)
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(folder / out), done.stdout


def lies_inside(frame: pd.DataFrame) -> pd.Series:
    """Whether samples keep to the restriction, by its words."""
    elements = frame["formula"].str.findall(r"[A-Z][a-z]?").map(set)
    atoms = frame["formula"].str.findall(r"\d+").map(lambda counts: sum(map(int, counts)))
    listed = elements.map(lambda present: present <= {"Li", "O", "Mg", "Cl"})
    return listed & frame["space_group"].isin([225, 221, 139]) & atoms.between(2, 12)


def numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern, text)
    assert found is not None, text
    return [float(number) for number in found.groups()]


@pytest.mark.parametrize("exact", ["true", "rejection"])
def test_rejection_keeps_the_samples_of_the_whole_space_that_lie_inside(folder: Path, exact: str) -> None:
    whole, _ = samples(folder, f"whole_{exact}.parquet", "n=2048", "seed=3")
    inside = whole[lies_inside(whole)].reset_index(drop=True)
    n = len(inside)
    assert n > 20
    kept, told = samples(
        folder, f"{exact}.parquet", f"n={n}", "seed=3", f"restrict.exact={exact}", *RESTRICTION
    )
    pd.testing.assert_frame_equal(kept, inside, rtol=1e-5)
    kept_rows, draws = numbers(r"rejection: \S+ \((\d+) of (\d+)\) of the sampler's objects", told)
    assert kept_rows == n and draws in (512, 1024, 1536, 2048)
    assert f"sampling {n}/{n}" in told and "00:00 left" in told


def test_a_quiet_sample_prints_its_result_alone(folder: Path) -> None:
    words = ("n=200", "restrict.exact=rejection", *RESTRICTION)
    expected, told = samples(folder, "loud.parquet", *words)
    done = sample(folder, "quiet.parquet", "quiet=true", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == told.splitlines()[-1].replace("loud", "quiet") + "\n"
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "quiet.parquet"), expected)


def test_weights_are_told_with_their_effective_sample_size(folder: Path) -> None:
    few = ("restrict.trajectories=4",)
    found, told = samples(folder, "w.parquet", "n=600", "restrict.exact=weights", *few, *RESTRICTION)
    assert len(found) == 600 and lies_inside(found).all()
    weight = np.exp(found["log_weight"].to_numpy())
    (effective,) = numbers(r"effective sample size ([\d.]+) of 600", told)
    assert effective == pytest.approx(weight.sum() ** 2 / np.square(weight).sum(), abs=0.1)
    assert 30 < effective < 600 and "weights are in column log_weight" in told
    # their mean is the share of the whole space, which rejection finds by counting
    _, counted = samples(folder, "c.parquet", "n=200", "restrict.exact=rejection", *RESTRICTION)
    kept, draws = numbers(r"\((\d+) of (\d+)\)", counted)
    error = np.hypot(weight.std() / 600**0.5, kept**0.5 / draws)
    assert abs(weight.mean() - kept / draws) < 4.0 * error
    plain, _ = samples(folder, "p.parquet", "n=20", *RESTRICTION)
    assert "log_weight" not in plain and lies_inside(plain).all()


def test_weights_take_over_where_rejection_is_not_workable(folder: Path) -> None:
    few = ("restrict.trajectories=2", "restrict.attempts=100")
    settings = ("n=60", "restrict.exact=true", *few, *RESTRICTION)
    found, told = samples(folder, "a.parquet", *settings)
    assert "using weights" in told and len(found) == 60 and "log_weight" in found
    again, told = samples(folder, "b.parquet", *settings, "restrict.resample=3")
    assert "of 180" in told and len(again) == 60 and "log_weight" not in again and lies_inside(again).all()


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        (["restrict.formula=Li2O"], r"Li(\d+) O(\d+)"),
        (["restrict.formula={Mg:4,O:4}"], "Mg4 O4"),
        (["restrict.formula=A2X", "restrict.sites={A:[Li,Na],X:any}"], r"(Li|Na)\d+ O\d+"),
        (["restrict.anion=O", "restrict.n_elements=[2,2]"], r"[A-Z][a-z]?\d+ O\d+"),
    ],
)
def test_samples_have_the_formula_that_is_asked_for(folder: Path, asked: list[str], pattern: str) -> None:
    found, _ = samples(folder, "f.parquet", "n=40", "overwrite=true", *asked)
    assert len(found) == 40 and found["formula"].str.fullmatch(pattern).all()
    if asked == ["restrict.formula=Li2O"]:
        counts = found["formula"].str.extract(pattern).astype(int)
        assert (counts[0] == 2 * counts[1]).all()


def test_a_space_that_is_not_restricted_is_sampled_as_ever(folder: Path) -> None:
    plain, _ = samples(folder, "d.parquet", "n=30")
    exact, told = samples(folder, "e.parquet", "n=30", "restrict.exact=true")
    pd.testing.assert_frame_equal(plain, exact)
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["restrict.exact=maybe"], ["restrict.exact", "rejection", "'maybe'"]),
        (["restrict.exact=1"], ["restrict.exact", "true, false"]),
        (["restrict.attempts=0"], ["restrict.attempts", "at least 1"]),
        (["restrict.trajectories=0"], ["restrict.trajectories", "at least 1"]),
        (["restrict.resample=0.5"], ["restrict.resample", "whole number"]),
        (["restrict.exact=true", "restrict.elements=[Fe]"], ["Fe not in the vocabulary"]),
        (["restrict.elements=3"], ["restrict.elements must be a list"]),
        (["restrict.formula=Li2OMg"], ["is neutral", "Li +1"]),
        (["restrict.formula=A2O"], ["no element A", "sites={A:"]),
        (
            ["restrict.exact=rejection", "restrict.attempts=600", "n=500", *RESTRICTION],
            [" of 600)", "n=500", "restrict.exact=weights", "start=RUN"],
        ),
    ],
)
def test_settings_that_do_not_work_give_one_line(folder: Path, settings: list[str], says: list[str]) -> None:
    result = sample(folder, "none.parquet", *settings)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert all(words in result.stderr for words in says), result.stderr
    assert not (folder / "none.parquet").exists()


def test_a_pipeline_takes_the_same_settings(folder: Path) -> None:
    quick = ("k=3", "n=40", "tries=1", "generator=quick", "energies=null", "threads=1", "quiet=true")
    exact = ("restrict.exact=weights", "restrict.trajectories=2", *RESTRICTION)
    done = run_command(folder, "pipeline", "run=run", "out=best", *quick, *exact)
    assert done.returncode == 0, done.stderr
    drawn = pd.read_parquet(folder / "best" / "samples.parquet")
    assert len(drawn) == 40 and "log_weight" in drawn and lies_inside(drawn).all()
    assert run_command(folder, "pipeline", "run=run", "out=bad", "restrict.exact=maybe").returncode == 2


def test_a_training_in_a_smaller_space_starts_from_a_run(folder: Path) -> None:
    tighter = (
        "prior=null",
        "start=run",
        "env.elements=[Li,O,Mg]",
        "env.space_groups=[225,221]",
        "env.n_atoms=[2,12]",
    )
    done = run_command(folder, "train_gfn", *TRAINING, *tighter, "run.dir=smaller")
    assert done.returncode == 0, done.stderr
    drawn = pd.read_parquet(folder / "smaller" / "samples.parquet")
    assert lies_inside(drawn).all() and not drawn["formula"].str.contains("Cl").any()
    before, after = (open_run(folder / name).parts.model.state_dict() for name in ("run", "smaller"))
    moved = {name: float((after[name] - before[name]).abs().max()) for name in before if "log_z" not in name}
    # one step from the weights of the run, not new ones
    assert 0.0 < max(moved.values()) < 0.02


def test_a_prior_is_restricted_like_a_run(folder: Path) -> None:
    trained = open_run(folder / "run")
    config = OmegaConf.to_container(trained.config)
    assert isinstance(config, dict)
    card = {"env": config["env"]}
    save_prior(folder / "mine.safetensors", trained.parts.model, config["policy"], card)
    settings = ("run=mine.safetensors", "n=40", "restrict.exact=true", "threads=1", *RESTRICTION)
    done = run_command(folder, "sample", *settings, "out=prior.parquet")
    assert done.returncode == 0, done.stderr
    drawn = pd.read_parquet(folder / "prior.parquet")
    assert lies_inside(drawn).all() and len(frame_to_specs(drawn)) == 40
