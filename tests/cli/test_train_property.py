"""``train_property``: labels of the user's own to weights that a proxy reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gflownet_crystal.cli.main import main
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.proxies.base import Proxy
from tests.proxies.test_mlp_placing import rock_salts
from tests.proxies.test_spec_property import labelled

WORDS = (
    "training.steps=20",
    "training.width=8",
    "training.holdout=0.3",
    "threads=1",
    "quiet=true",
    "unit=GPa",
)


def train(folder: Path, *words: str) -> int:
    common = ("property=hardness", *WORDS, f"out={folder}/hardness.safetensors", f"run.dir={folder}/run")
    return main(["train_property", *common, *words])


def test_a_column_becomes_a_proxy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "salts.csv"
    labelled().drop(columns=["energy_source", "strain"]).to_csv(data, index=False)
    assert train(tmp_path, f"data={data}", f"test={data}") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["validation"]["validation"]["n"] + 2 < 60 and told["test"]["salts.csv"]["n"] == 60
    card = json.loads((tmp_path / "hardness.json").read_text())
    assert (card["property"], card["unit"], card["data"]) == ("hardness", "GPa", ["salts.csv"])
    config = resolved(
        compose_config("train_gfn", ["proxy=property", f"proxy.weights={tmp_path}/hardness.safetensors"])
    )
    value = build(config.proxy, Proxy, "proxy")(rock_salts()).value
    assert value.shape == (60,) and bool(value.isfinite().all())


def test_labels_of_a_table_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = labelled().drop(columns=["energy_source", "strain"])
    table.drop(columns="hardness").to_parquet(tmp_path / "salts.parquet")
    table[["material_id", "hardness"]].to_csv(tmp_path / "labels.csv", index=False)
    words = (f"data={tmp_path}/salts.parquet", f"labels={tmp_path}/labels.csv")
    assert train(tmp_path, *words) == 0
    joined = json.loads(capsys.readouterr().out)["validation"]
    table.to_parquet(tmp_path / "both.parquet")
    assert train(tmp_path / "other", f"data={tmp_path}/both.parquet") == 0
    assert json.loads(capsys.readouterr().out)["validation"] == joined


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hardness": None}, "lacks the columns hardness"),
        ({"hardness": "hard"}, "hardness that is no finite number"),
    ],
)
def test_data_without_labels_are_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str | None], told: str
) -> None:
    table = labelled().drop(columns=["energy_source", "strain"])
    table = table.drop(columns="hardness") if change["hardness"] is None else table.assign(**change)
    table.to_csv(tmp_path / "salts.csv", index=False)
    assert train(tmp_path, f"data={tmp_path}/salts.csv") == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "hardness.safetensors").exists()


def test_the_column_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train_property", "data=x.csv", "unit=GPa"]) == 2
    assert "property" in capsys.readouterr().err
