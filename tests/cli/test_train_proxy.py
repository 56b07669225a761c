"""The verb train_proxy stopped and gone on with: weights as of an undisturbed run, errors in one line."""

from __future__ import annotations

import signal
from pathlib import Path

import pandas as pd
import pytest
import torch

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import load_tensors, read_json
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.proxies.hull_recipe import HullTraining
from gflownet_crystal.training.proxies.mlp_paper_recipe import PaperTraining
from gflownet_crystal.training.proxies.mlp_training import EnsembleTraining
from tests.data.crystals import stored_frame

STEPS, STOPPED_AFTER = 5, 3
MLP = ("proxy=mlp", f"training.steps={STEPS}", "training.batch_size=16", "training.members=2", "training.width=16",
       "training.random_strains=2")  # fmt: skip
PAPER = ("proxy=mlp_paper", f"training.epochs={STEPS}", "training.batch_size=8", "training.patience=0")
HULL = ("proxy=e_above_hull", f"training.steps={STEPS}", "training.batch_size=16", "training.mixtures=8",
        "training.members=2", "training.width=16")  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Known crystals several times, some of them MP-20's val."""
    frame = pd.concat([stored_frame()] * 3, ignore_index=True).assign(e_above_hull=0.01)
    frame["material_id"] = [str(row) for row in range(len(frame))]
    frame.loc[frame.index % 8 % 3 == 1, "mp20_split"] = "val"
    source = tmp_path_factory.mktemp("data") / "known.parquet"
    frame.to_parquet(source)
    table = source.with_name("prepared.parquet")
    assert main(["prepare_data", f"source={source}", f"out={table}", "quiet=true"]) == 0
    return table


def words(folder: Path, data: Path, name: str, *settings: str) -> list[str]:
    place = [f"run.dir={folder / name}", f"out={folder / name}.safetensors"]
    return ["train_proxy", f"data={data}", "quiet=true", "threads=1", *place, *settings]


@pytest.mark.parametrize(
    ("training", "settings"), [(EnsembleTraining, MLP), (PaperTraining, PAPER), (HullTraining, HULL)]
)
def test_a_stopped_training_ends_as_the_undisturbed_one(
    tmp_path: Path,
    data: Path,
    training: type[Training],
    settings: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words(tmp_path, data, "whole", *settings)) == 0
    advance = training.advance

    def interrupted(self: Training) -> dict[str, float]:
        if self.done == STOPPED_AFTER - 1:
            signal.raise_signal(signal.SIGINT)
        return advance(self)

    # the only checkpoint is the one that the interrupt leaves
    cut = words(tmp_path, data, "cut", *settings, "checkpoint_every=100")
    with monkeypatch.context() as patch:
        patch.setattr(training, "advance", interrupted)
        capsys.readouterr()
        assert main(cut) == 130
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"train_proxy run.dir={tmp_path / 'cut'} resume=true" in said
    assert not (tmp_path / "cut.safetensors").exists()
    assert main(["train_proxy", f"run.dir={tmp_path / 'cut'}", "resume=true"]) == 0
    (whole, _), (resumed, _) = (load_tensors(tmp_path / f"{name}.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    cards = [read_json(tmp_path / f"{name}.json") for name in ("whole", "cut")]
    assert cards[0]["validation"] == cards[1]["validation"]
    records = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut")]
    # null stands for what is no number
    assert all(None not in record.values() for record in records[0])
    assert records[0] == records[1] and [record["step"] for record in records[0]] == list(range(1, STEPS + 1))


def test_a_run_goes_on_only_with_its_own_settings_and_whole_checkpoints(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = words(tmp_path, data, "run", *PAPER)
    assert main(first) == 0
    capsys.readouterr()

    def refused(*given: str) -> str:
        assert main([*first, *given]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "resume=true" in refused()
    assert "differs from the run being resumed" in refused("resume=true", "training.seed=1")
    config = tmp_path / "run" / "config.yaml"
    stored = config.read_text()
    config.write_text(stored.replace("mlp_paper_recipe.PaperRecipe", "hull_recipe.HullRecipe"))
    assert "training" in refused("resume=true")
    config.write_text(stored)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    assert "no checkpoint" in refused("resume=true")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_training_of_one_step_has_a_curve_of_numbers(tmp_path: Path, data: Path) -> None:
    assert main(words(tmp_path, data, "one", *MLP, "training.steps=1")) == 0
    card = read_json(tmp_path / "one.json")
    assert card["training_mae_last_tenth"] == card["training_mae_tenth_before"]
    assert card["curve_still_falling"] is False
