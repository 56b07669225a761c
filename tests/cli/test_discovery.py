"""The reward for discovery on the command line: trained, resumed bit for bit, sampled, exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Composition

from gflownet_crystal.data.readers import read_source
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.cli.commands import run_command

TINY = (
    "env=crystal", "proxy=mlp", "prior=null", "reward=discovery", "trainer.batch_size=16", "trainer.checkpoint_every=1",
    "policy.forward.n_hidden=8", "samples.n=30", "export.k=2", "threads=1",
    "env.n_atoms=[2,10]", "env.space_groups=[225,221,216,139,123]", "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]",
)  # fmt: skip
HISTORY = ("reward.novelty.history_cost=3", "reward.novelty.history_scale=1")


def test_a_run_from_training_to_candidates(tmp_path: Path) -> None:
    known = pd.DataFrame({"formula": ["Li2O", "LiCl", "MgO"], "space_group": [1, 1, 1]})
    known.to_csv(tmp_path / "known.csv", index=False)
    settings = (
        "trainer.iterations=3",
        "reward.novelty.known=known.csv",
        "reward.novelty.pair_cost=1",
        "run.dir=run",
        # after three iterations nothing is near the hull
        "screening.fill=true",
        "export.format=extxyz",
    )
    done = run_command(tmp_path, "train_gfn", *TINY, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reward discovery: log R = -30") == 1
    frame = pd.read_parquet(tmp_path / "run" / "samples.parquet")
    specs = frame_to_specs(frame)
    energy = MLPProxy(placing="placing")(specs)
    above = energy.value - ReferenceHull.from_weights().hull_energy(specs.composition)
    novelty = 2.5 * frame["known_formula"] + 1.0 * frame["known_formula_and_group"]
    cautious = above + energy.std
    cost = torch.maximum(cautious.clamp(min=0.0), -0.1 - cautious)
    expected = -30.0 * cost.numpy() - novelty.to_numpy(dtype=float)
    np.testing.assert_allclose(frame["log_reward"], expected, rtol=1e-5, atol=1e-5)
    assert frame["hull_entries"].dtype == np.int64 and frame["hull_entries"].min() > 0
    # candidates are new, and measured from the hull of the reward
    table = pd.read_csv(tmp_path / "run" / "candidates" / "candidates.csv")
    assert 1 <= len(table) <= 2 and not table["known_formula"].any()
    assert not set(table["formula"].map(lambda text: Composition(text).reduced_formula)) & set(
        known["formula"]
    )
    candidates = frame_to_specs(table)
    hull = ReferenceHull.from_weights().hull_energy(candidates.composition).numpy()
    np.testing.assert_allclose(table["e_above_hull"], table["energy"] - hull, atol=1e-6)
    others = tmp_path / "run" / "candidates" / "structures.extxyz"
    assert read_source(others)["material_id"].tolist() == [Path(name).stem for name in table["cif"]]
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["candidates"]
    assert (
        told["funnel"] == json.loads((tmp_path / "run" / "candidates" / "summary.json").read_text())["funnel"]
    )
    assert told["candidates"] == len(table) and told["funnel"][0]["stage"] == "sampled"
    assert (
        max(map(len, done.stdout.partition("Best candidates")[2].partition("samples:")[0].splitlines())) <= 80
    )
    # other candidates can be made of the same training
    words = ("resume=true", "screening.fill=false", "screening.within=-9", "screening.most_placed=2")
    again = run_command(tmp_path, "train_gfn", *TINY, *settings[:-2], *words)
    assert again.returncode == 0, again.stderr
    assert "Best samples by reward" in again.stdout and "0 candidates" in again.stdout
    assert pd.read_csv(tmp_path / "run" / "candidates" / "candidates.csv").empty
    assert len(pd.read_csv(tmp_path / "run" / "candidates" / "left_out.csv")) == 2 and not others.exists()
    more = run_command(tmp_path, "sample", "run=run", "n=20", "out=more.csv")
    assert more.returncode == 0, more.stderr
    assert set(pd.read_csv(tmp_path / "more.csv").columns) == set(frame.columns)


def test_a_history_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    given = (*TINY, *HISTORY, "export.k=0", "quiet=true")
    whole = run_command(tmp_path, "train_gfn", *given, "trainer.iterations=4", "run.dir=whole")
    assert whole.returncode == 0, whole.stderr
    for more in (("trainer.iterations=2",), ("trainer.iterations=4", "resume=true")):
        part = run_command(tmp_path, "train_gfn", *given, *more, "run.dir=parts")
        assert part.returncode == 0, part.stderr
    metrics = [pd.read_json(tmp_path / name / "metrics.jsonl", lines=True) for name in ("whole", "parts")]
    for column in ("loss", "log_z", "mean_log_reward"):
        assert metrics[0][column].tolist() == metrics[1][column].tolist()
    without = (*TINY, "reward.novelty.history_cost=0", "export.k=0", "quiet=true", "trainer.iterations=4")
    plain = run_command(tmp_path, "train_gfn", *without, "run.dir=plain")
    assert plain.returncode == 0, plain.stderr
    rewards = pd.read_json(tmp_path / "plain" / "metrics.jsonl", lines=True)["mean_log_reward"]
    assert rewards[0] == metrics[0]["mean_log_reward"][0]
    assert rewards.tolist() != metrics[0]["mean_log_reward"].tolist()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["reward.hull=nothing.parquet"], "no data at nothing.parquet"),
        (["reward.novelty.known=nothing"], "no data at nothing"),
        (["reward.novelty.formula_cost=high"], "reward.novelty.formula_cost must be"),
        (["reward.novelty.surprise=1"], "surprise"),
        (["reward.novelty=3"], "reward.novelty"),
        (["reward.beta=-3"], "reward.beta is -3"),
        (["env=hypergrid", "proxy=grid_corners", "env.length=4"], "proxy GridCorners predicts"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(tmp_path: Path, settings: list[str], told: str) -> None:
    given = settings if "env=hypergrid" in settings else [*TINY, *settings]
    done = run_command(tmp_path, "train_gfn", "reward=discovery", *given, "quiet=true", "run.dir=run")
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "config.yaml").exists()
