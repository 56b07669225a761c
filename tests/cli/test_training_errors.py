"""Bad input to the verbs that train networks on atoms: one line that says what is wrong, and exit status 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.checkpoint import save_checkpoint
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.run_folder import training_run
from tests.data.crystals import stored_frame

ENERGY = "formation_energy_per_atom"
VERBS = ("train_energy", "train_denoiser", "train_generator")
Frame = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.concat([stored_frame()] * 2, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    path = tmp_path_factory.mktemp("data") / "known.parquet"
    frame.to_parquet(path)
    return path


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a command ends with."""

    def run(verb: str, *words: str) -> str:
        capsys.readouterr()
        assert main([verb, f"run.dir={tmp_path / 'run'}", "threads=1", "quiet=true", *words]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        return said

    return run


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns=ENERGY), ENERGY),
        (lambda frame: frame.assign(**{ENERGY: np.nan}), "no structure with an energy"),
        (lambda frame: frame.assign(**{ENERGY: frame[ENERGY].where(frame.index != 2, np.inf)}), "finite"),
        (lambda frame: frame.assign(**{ENERGY: "low"}), "finite"),
    ],
    ids=["no column", "no energy", "infinite", "text"],
)
def test_data_without_good_energies(
    tmp_path: Path, data: Path, refused: Callable[..., str], verb: str, change: Frame, said: str
) -> None:
    path = tmp_path / "given.parquet"
    frame = pd.read_parquet(data)
    change(frame).to_parquet(path)
    line = refused(verb, f"data={path}")
    assert said in line
    if said == "finite" and change(frame)[ENERGY].dtype == np.float64:
        assert str(frame["material_id"][2]) in line


@pytest.mark.parametrize("verb", VERBS)
def test_files_and_networks_that_do_not_exist(data: Path, refused: Callable[..., str], verb: str) -> None:
    assert "nowhere.parquet" in refused(verb, "data=nowhere.parquet")
    group, known = ("generator", "gemsdiff") if verb == "train_generator" else ("model", "gemsnet")
    for key in (group, f"{group}.name"):
        line = refused(verb, f"data={data}", f"{key}=schnet")
        assert "schnet" in line and known in line


@pytest.mark.parametrize("verb", VERBS)
def test_runs_that_cannot_go_on(tmp_path: Path, data: Path, refused: Callable[..., str], verb: str) -> None:
    folder = tmp_path / "run"
    config = resolved(compose_config(verb, [f"data={data}", f"run.dir={folder}", "holdout=0.0"]))
    training_run(folder, verb, config).write_config()
    assert "resume=true" in refused(verb, f"data={data}")
    assert "seed differs from the run being resumed" in refused(verb, "resume=true", "seed=5")
    damaged = folder / "checkpoints" / "step_00000001.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(b"nothing")
    assert "no checkpoint" in refused(verb, "resume=true")
    save_checkpoint(folder, 2, {"model": {"weight": torch.zeros(2)}}, epoch=0)
    damaged.unlink()
    assert "belongs to another configuration" in refused(verb, "resume=true")
