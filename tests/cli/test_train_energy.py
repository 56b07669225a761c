"""The verb train_energy: weights with a card, resume, errors in one line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energies.labelled import read_labelled
from gflownet_crystal.weights import load_weights
from tests.data.crystals import stored_frame

SMALL = ("model.settings.width=16", "model.settings.embedding=8", "model.settings.alignn_layers=1",
         "model.settings.gcn_layers=1", "loop.epochs=2", "loop.atoms=20", "holdout=0.0", "threads=1",
         "quiet=true")  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    path = tmp_path_factory.mktemp("data") / "known.parquet"
    frame.to_parquet(path)
    return path


def test_weights_and_card_say_what_was_trained(tmp_path: Path, data: Path) -> None:
    assert main(["train_energy", f"data={data}", f"run.dir={tmp_path / 'run'}", f"test={data}", *SMALL]) == 0
    path = tmp_path / "run" / "weights.safetensors"
    card = read_json(path.with_suffix(".json"))
    assert card["samples_seen"] == 2 * card["structures"] == 2 * 21
    assert len(card["validation_curve"]) == 2 and card["test"]["known.parquet"]["n"] == 24
    assert str(tmp_path) not in str(card)
    tensors, card = load_weights(path, "structure_energy")
    model = EnergyModel(build_network(card["network"]["name"], card["network"]["settings"]))
    model.load_state_dict(tensors)
    labelled = read_labelled([data])
    validation = labelled.take(labelled.split == "val")
    error = (model.energies(validation.structures) - validation.energy).abs().mean()
    # weights are stored in half precision
    assert float(error) == pytest.approx(card["validation"]["validation"]["mae"], abs=5e-3)


def test_it_goes_on_where_it_stood(tmp_path: Path, data: Path) -> None:
    whole = ["train_energy", f"data={data}", f"run.dir={tmp_path / 'whole'}", *SMALL]
    assert main(whole) == 0
    first = ["train_energy", f"data={data}", f"run.dir={tmp_path / 'cut'}", "loop.checkpoint_every=2", *SMALL]
    assert main(first) == 0
    newest = max((tmp_path / "cut" / "checkpoints").glob("*.safetensors"))
    newest.unlink()
    assert main([*first, "resume=true"]) == 0
    tensors = [
        load_weights(tmp_path / name / "weights.safetensors", "structure_energy")[0]
        for name in ("whole", "cut")
    ]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    steps = [r["step"] for r in read_metrics(tmp_path / "cut" / "metrics.jsonl") if "mae" in r]
    assert steps == list(range(1, len(steps) + 1))


def test_earlier_weights_are_calibrated_and_trained_on(tmp_path: Path, data: Path) -> None:
    frame = pd.concat([pd.read_parquet(data)] * 10, ignore_index=True)
    # formulas of their own, so that some are held out
    numbers = frame["atomic_numbers"].map(lambda own: own + 1)
    frame = pd.concat([frame, frame.assign(atomic_numbers=numbers, mp20_split="none")], ignore_index=True)
    many = tmp_path / "many.parquet"
    frame.to_parquet(many)
    words = ["train_energy", f"data={many}", *SMALL, "holdout=0.3", "loop.epochs=1"]
    plain = tmp_path / "plain.safetensors"
    assert main([*words, f"run.dir={tmp_path / 'first'}", f"out={plain}", "holdout=0.0"]) == 0
    card = read_json(plain.with_suffix(".json"))
    assert card["uncertainty"] is None
    assert {"kind", "unit", "data", "command", "validation", "sha256", "settings", "samples_seen"} <= set(
        card
    )
    out = tmp_path / "calibrated.safetensors"
    again = [*words, f"start={plain}", f"out={out}", "loop.epochs=0", f"run.dir={tmp_path / 'second'}"]
    assert main(again) == 0
    calibrated, whole = read_json(out.with_suffix(".json")), TrainedEnergies(out)
    assert calibrated["samples_seen"] == card["samples_seen"] and calibrated["command"] == card["command"]
    assert str(tmp_path) not in str(calibrated)
    for name, value in TrainedEnergies(plain).model.state_dict().items():
        assert whole.model.state_dict()[name].equal(value), name
    figures = calibrated["uncertainty"]["validation"]
    labelled = read_labelled([many])
    validation = labelled.take(labelled.split == "val")
    energy, deviation = whole.predict(validation.structures)
    within = ((energy - validation.energy).abs() <= deviation).double().mean()
    assert float(within) == pytest.approx(figures["within_1_std"], abs=0.05)
    tuned = tmp_path / "tuned.safetensors"
    assert main([*words, f"start={out}", f"out={tuned}", f"run.dir={tmp_path / 'third'}"]) == 0
    tuned_card = read_json(tuned.with_suffix(".json"))
    assert tuned_card["start"]["samples_seen"] == card["samples_seen"] and tuned_card["samples_seen"] > 0
    assert not TrainedEnergies(tuned).model.network.readout.weight.equal(whole.model.network.readout.weight)
    assert main([*again, "model.settings.graph.fade=0.4", f"run.dir={tmp_path / 'fourth'}"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.settings.widht=3"], "width"),
        (["model=schnet"], "alignn"),
        (["loop.epochs=0"], "loop.epochs"),
        (["holdout=2"], "holdout"),
        (["out=weights.pt"], ".safetensors"),
        (["data=nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    given = [f"data={data}", f"run.dir={tmp_path / 'run'}", *SMALL, *words]
    assert main(["train_energy", *given]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
