"""``train_property``: labels of the user's own to weights that a proxy reads."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.cli.main import main
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.structure_property import StructureProperty
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import specs_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from tests.cli.test_export import CRYSTALS, command, write_run
from tests.cli.tiny_weights import loose_contacts
from tests.proxies.test_mlp_placing import rock_salts
from tests.proxies.test_spec_property import labelled
from tests.proxies.test_structure_property import salts

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
    # two files: its labels, and a config that gives it a name
    (tmp_path / "proxy").mkdir()
    own = f"defaults:\n  - property\n  - _self_\nweights: {tmp_path}/hardness.safetensors\n"
    (tmp_path / "proxy" / "hardness.yaml").write_text(own)
    config = resolved(compose_config("train_gfn", ["proxy=hardness"], [tmp_path]))
    value = build(config.proxy, Proxy, "proxy")(rock_salts()).value
    assert value.shape == (60,) and bool(value.isfinite().all())


def test_a_property_with_atoms_is_a_column_of_structures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = salts()
    stored[[*STRUCTURE_COLUMNS, "hardness"]].to_parquet(tmp_path / "salts.parquet")
    assert train(tmp_path, f"data={tmp_path}/salts.parquet", "training=property_atoms") == 0
    told = json.loads(capsys.readouterr().out)["validation"]
    assert 0 < told["validation"]["n"] < len(stored)
    weights = tmp_path / "hardness.safetensors"
    specs_to_frame(rock_salts()[:3]).to_csv(tmp_path / "specs.csv", index=False)
    words = (
        f"specs={tmp_path}/specs.csv",
        f"out={tmp_path}/made",
        "generator=quick",
        "threads=1",
        "quiet=true",
    )
    assert main(["generate", *words, f"properties={weights}"]) == 0
    made = pd.read_parquet(tmp_path / "made" / "structures.parquet")
    assert_columns(made, frame_to_structures(made), weights)
    folder, judged = tmp_path / "made" / "structures.parquet", tmp_path / "judged"
    assert main(["evaluate", f"structures={folder}", f"out={judged}", "metrics=space_groups", "cache=null",
                 f"properties={weights}"]) == 0  # fmt: skip
    assert_columns(pd.read_csv(judged / "structures.csv"), frame_to_structures(made), weights)
    figures = json.loads((judged / "metrics.json").read_text())["properties"]["hardness"]
    assert figures["n"] == len(made) and np.isclose(figures["median"], made["hardness"].median(), rtol=1e-4)
    capsys.readouterr()
    assert main(["generate", *words[2:], f"specs={tmp_path}/specs.csv", f"out={tmp_path}/twice",
                 f"properties=[{weights},{weights}]"]) == 2  # fmt: skip
    assert "would be called hardness" in capsys.readouterr().err


def test_candidates_have_properties_of_their_atoms(
    tmp_path: Path,
) -> None:
    # beside samples with a column of the same name, those of the atoms have another
    run = write_run(tmp_path / "run", crystals=CRYSTALS[3:8])
    samples = pd.read_parquet(run / "samples.parquet").assign(
        bulk_modulus=100.0, bulk_modulus_std=10.0, log_reward_bulk_modulus=1.0
    )
    samples.to_parquet(run / "samples.parquet")
    out = tmp_path / "best"
    words = ("k=3", "screening.within=null", loose_contacts(tmp_path), "properties=[bulk_modulus_atoms]")
    assert main(command(run, out, *words)) == 0
    table = pd.read_csv(out / "candidates.csv")
    crystals = StructureBatch.cat([from_ase([ase.io.read(out / name)]) for name in table["cif"]])
    assert_columns(table, crystals, "bulk_modulus_atoms", "bulk_modulus_atoms")
    assert table["bulk_modulus"].tolist() == [100.0] * 3


def assert_columns(
    table: pd.DataFrame, structures: StructureBatch, weights: Path | str, name: str = "hardness"
) -> None:
    expected = StructureProperty(weights)(structures)
    np.testing.assert_allclose(table[name], expected.value.numpy(), rtol=1e-3)
    np.testing.assert_allclose(table[f"{name}_std"], expected.std.numpy(), rtol=1e-2)


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
