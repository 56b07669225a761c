"""The verb train_prior: weights with a card, a run that goes on bit for bit, and samplers that start from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import load_tensors, read_json
from gflownet_crystal.training.priors import matching
from tests.data.crystals import stored_frame

TINY = (
    "env=crystal_89", "policy.forward.n_hidden=16", "policy.forward.n_layers=1", "holdout=0.4", "task.limit=null",
    "task.samples=4", "task.matching=[2,1]", "loop.atoms=4", "loop.checkpoint_every=1", "threads=1", "quiet=true",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Sizes are matched to few samples: how well is shown where matching is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_DRAWN", 2_000)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with crystals and a prior of them."""
    folder = tmp_path_factory.mktemp("prior")
    stored_frame().to_parquet(folder / "known.parquet")
    words = (*TINY, f"data={folder}/known.parquet", "loop.epochs=3", f"run.dir={folder}/whole")
    assert main(["train_prior", *words]) == 0
    return folder


def test_the_card_says_what_was_learned_and_how_well(place: Path) -> None:
    card = read_json(place / "whole" / "weights.json")
    assert card["kind"] == "prior" and card["unit"] == "nats"
    assert card["crystals"]["train"] + card["crystals"]["validation"] <= len(stored_frame())
    assert card["samples_seen"] == 3 * card["crystals"]["train"] == 3 * card["structures"]
    assert {"n", "k", "val_nll", "standard_error"} <= set(card["validation"])
    assert len(card["validation_curve"]) == 1
    assert card["distributions"]["train"]["n"] == card["crystals"]["train"]
    # descriptors are folded into the weights
    assert card["policy"]["forward"]["descriptors"] is False
    tensors, _ = load_tensors(place / "whole" / "weights.safetensors")
    assert not any("map" in name or name.startswith("log_z") for name in tensors)


def test_a_training_that_stopped_goes_on_bit_for_bit(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gflownet_crystal.training.networks import NetworkTraining

    words = [*TINY, f"data={place}/known.parquet", "loop.epochs=3", f"run.dir={place}/parts"]
    advance, done = NetworkTraining.advance, []

    def stopping(self, *given):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return advance(self, *given)

    monkeypatch.setattr(NetworkTraining, "advance", stopping)
    assert main(["train_prior", *words]) == 130
    monkeypatch.setattr(NetworkTraining, "advance", advance)
    assert main(["train_prior", *words, "resume=true"]) == 0
    whole, parts = (load_tensors(place / run / "weights.safetensors")[0] for run in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


def test_samples_and_trainings_of_other_elements_start_from_it(place: Path) -> None:
    weights, run, out = place / "whole" / "weights.safetensors", place / "run", place / "drawn.parquet"
    narrow = ["restrict.elements=[Na,Mg,Cl,O]", "n=20", "threads=1"]
    assert main(["sample", f"run={weights}", f"out={out}", *narrow]) == 0
    assert set("".join(pd.read_parquet(out)["formula"])) <= set("NaMgClO 0123456789")
    small = [
        "trainer.iterations=2",
        "trainer.batch_size=8",
        "samples.n=10",
        "export.k=0",
        "threads=1",
        "quiet=true",
    ]
    words = ["env=crystal", f"prior={weights}", "env.elements=[Li,Fe,O]", f"run.dir={run}", *small]
    assert main(["train_gfn", *words]) == 0
    assert len(pd.read_parquet(run / "samples.parquet")) == 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["env.lattice.axial_ratio=[0.5,2]"], "differ in env.lattice"),
        (["env.max_count=30"], "differ in env.max_count"),
        (["policy.forward.n_hidden=8"], "start=null"),
        (["prior.weight=-1"], "prior.weight"),
        (["objective=trajectory_balance"], "relative_trajectory_balance"),
    ],
)
def test_what_does_not_fit_a_prior_is_told_in_one_line(
    place: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["env=crystal", f"prior={place}/whole/weights.safetensors", "quiet=true", "threads=1"]
    assert main(["train_gfn", *given, *words, f"run.dir={place}/refused"]) == 2
    line = capsys.readouterr().err.strip()
    assert told in line and "\n" not in line
    assert not (place / "refused" / "config.yaml").exists()


@pytest.mark.parametrize(
    "damage", ["prior: 0.5", "prior: [1]", "prior: {weight: 1.0}", "prior: {source: {a: 1}}"]
)
def test_a_stored_prior_that_is_none_is_refused_in_one_line(
    place: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    small = [
        "env.elements=[Li,Fe,O]",
        "trainer.batch_size=8",
        "samples.n=10",
        "export.k=0",
        "threads=1",
        "quiet=true",
    ]
    words = ["env=crystal", f"prior={place}/whole/weights.safetensors", f"run.dir={run}", *small]
    assert main(["train_gfn", *words, "trainer.iterations=1"]) == 0
    path = run / "config.yaml"
    path.write_text(re.sub(r"^prior:\n(  .*\n)+", f"{damage}\n", path.read_text(), flags=re.MULTILINE))
    capsys.readouterr()
    assert main(["train_gfn", f"run.dir={run}", "resume=true", "trainer.iterations=2"]) == 2
    line = capsys.readouterr().err.strip()
    assert "prior" in line and "\n" not in line


@pytest.mark.parametrize(
    "words",
    [
        ["train_gfn", "env=crystal", "prior={}"],
        ["train_gfn", "env=crystal", "start={}"],
        ["sample", "run={}"],
    ],
)
def test_classes_that_a_card_names_are_not_imported_unasked(
    place: Path,
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "foreign_policy.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"w{suffix}").write_bytes((place / "whole" / f"weights{suffix}").read_bytes())
    card = read_json(tmp_path / "w.json")
    card["policy"]["forward"]["_target_"] = "foreign_policy.Policy"
    (tmp_path / "w.json").write_text(json.dumps(card))
    out = [f"run.dir={tmp_path}/run"] if words[0] == "train_gfn" else [f"out={tmp_path}/s.csv"]
    given = [word.format(tmp_path / "w.safetensors") for word in words]
    assert main([*given, *out]) == 2
    assert "add trust=true" in capsys.readouterr().err
